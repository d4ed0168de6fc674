//! How the service is, as it is answered.

use chrono::{DateTime, Utc};
use schedule::zone::Source;
use serde::Serialize;
use utoipa::ToSchema;

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`; `degraded` when Redis is away (slower, nothing is lost), or no worker or no scheduler lives (what is asked for
    /// waits); `down` when Postgres is away.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// What it is made of.
    pub parts: Parts,
    /// How many sessions there are; zeros while Postgres is away.
    pub sessions: Sessions,
    /// How long this replica has been up, in seconds.
    pub uptime_s: u64,
    /// The release.
    #[schema(example = "1.4.0")]
    pub version: &'static str,
    /// The git revision that it was built from; `unknown` where the build did not say.
    pub revision: &'static str,
    /// The zone data on which this replica reads clocks.
    pub zone_data: ZoneData,
    /// Where its source is to be had, and with it the corresponding source of the worker, which is distributed under
    /// AGPL-3.0-only terms.
    #[schema(example = "https://github.com/switchboard/switchboard")]
    pub source: String,
}

/// The parts of the service, each with its last sign of life.
#[derive(Debug, Serialize, ToSchema)]
pub struct Parts {
    /// Where everything is kept.
    pub postgres: Part,
    /// What rings, and where leases are looked up.
    pub redis: Part,
    /// What holds the sessions.
    pub workers: Part,
    /// What fires reminders.
    pub schedulers: Part,
}

/// One part.
#[derive(Debug, Serialize, ToSchema)]
pub struct Part {
    /// `ok`, `down`, or `unknown` where it could not be asked.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// How many of them live; null of what is one, or could not be asked.
    #[schema(example = 2)]
    pub live: Option<i64>,
    /// The last sign of life: of a store its last answer to this replica, of the others the newest heartbeat. Null: there was
    /// none, or it could not be asked.
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
    /// Accounts that want to be online.
    pub total: i64,
    /// Those that are.
    pub connected: i64,
}
