//! The health of the service in answers of the API.

use chrono::{DateTime, Utc};
use schedule::zone::Source;
use serde::Serialize;
use utoipa::ToSchema;

/// The health of the service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`; `degraded` if Redis is unreachable (slower, but nothing is lost), or if no worker or no scheduler is alive
    /// (requests are stored and wait); `down` if Postgres is unreachable.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// The parts of the service.
    pub parts: Parts,
    /// The number of sessions; zeros if Postgres is unreachable.
    pub sessions: Sessions,
    /// How long this replica has been up, in seconds.
    pub uptime_s: u64,
    /// The release.
    #[schema(example = "1.4.0")]
    pub version: &'static str,
    /// The git revision that it was built from; `unknown` if the build did not say.
    pub revision: &'static str,
    /// The zone data that this replica uses.
    pub zone_data: ZoneData,
    /// Where its source code is available. That includes the corresponding source of the worker, which is distributed
    /// under AGPL-3.0-only terms.
    #[schema(example = "https://github.com/switchboard/switchboard")]
    pub source: String,
}

/// The parts of the service, each with its last sign of life.
#[derive(Debug, Serialize, ToSchema)]
pub struct Parts {
    /// The database, which stores everything.
    pub postgres: Part,
    /// The job queue, and the leases.
    pub redis: Part,
    /// The processes that hold the sessions.
    pub workers: Part,
    /// The processes that fire reminders.
    pub schedulers: Part,
}

/// One part.
#[derive(Debug, Serialize, ToSchema)]
pub struct Part {
    /// `ok`, `down`, or `unknown` if it could not be checked.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// How many of them are alive; null for a store, or if it could not be checked.
    #[schema(example = 2)]
    pub live: Option<i64>,
    /// The last sign of life. For a store it is the last answer to this replica, for the others the newest heartbeat.
    /// Null if there was none, or if it could not be checked.
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// IANA zone data.
#[derive(Debug, Serialize, ToSchema)]
pub struct ZoneData {
    /// Its version.
    #[schema(example = "2026f")]
    pub version: &'static str,
    /// Where it comes from.
    pub source: Source,
}

/// Sessions of all tenants together.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Sessions {
    /// The number of accounts that should be online.
    pub total: i64,
    /// The number of those that are online.
    pub connected: i64,
}
