//! How the service is, for people and monitors (R60). Liveness and readiness are of `common::ops`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use common::store::signs::{self, Signs};
use common::telemetry::metrics;
use common::zone::{self, Source};
use serde::Serialize;
use utoipa::ToSchema;

use crate::context::Context;

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`; `degraded` when Redis is away (slower, nothing is lost), or no worker or no scheduler lives (what is asked for
    /// waits); `down` when Postgres is away.
    #[schema(example = "ok")]
    status: &'static str,
    /// What it is made of.
    parts: Parts,
    /// How many sessions there are; zeros while Postgres is away.
    sessions: Sessions,
    /// How long this replica has been up, in seconds.
    uptime_s: u64,
    /// The release.
    #[schema(example = "1.4.0")]
    version: &'static str,
    /// The git revision that it was built from; `unknown` where the build did not say.
    revision: &'static str,
    /// The zone data on which this replica reads clocks.
    zone_data: ZoneData,
    /// Where its source is to be had, and with it the corresponding source of the worker, which is distributed under
    /// AGPL-3.0-only terms.
    #[schema(example = "https://github.com/switchboard/switchboard")]
    source: String,
}

/// The parts of the service, each with its last sign of life.
#[derive(Debug, Serialize, ToSchema)]
pub struct Parts {
    /// Where everything is kept.
    postgres: Part,
    /// What rings, and where leases are looked up.
    redis: Part,
    /// What holds the sessions.
    workers: Part,
    /// What fires reminders.
    schedulers: Part,
}

/// One part.
#[derive(Debug, Serialize, ToSchema)]
pub struct Part {
    /// `ok`, `down`, or `unknown` where it could not be asked.
    #[schema(example = "ok")]
    status: &'static str,
    /// How many of them live; null of what is one, or could not be asked.
    #[schema(example = 2)]
    live: Option<i64>,
    /// The last sign of life: of a store its last answer to this replica, of the others the newest heartbeat. Null: there was
    /// none, or it could not be asked.
    last_seen_at: Option<DateTime<Utc>>,
}

/// IANA zone data.
#[derive(Debug, Serialize, ToSchema)]
pub struct ZoneData {
    /// Its version.
    #[schema(example = "2026f")]
    version: &'static str,
    /// Where it comes from.
    source: Source,
}

/// Sessions of all tenants together.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Sessions {
    /// Accounts that want to be online.
    total: i64,
    /// Those that are.
    connected: i64,
}

/// How the service is
#[utoipa::path(get, path = "/health", tag = "Service", security(()),
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub async fn get(State(context): State<Context>) -> (StatusCode, Json<Health>) {
    let (signs, redis) = tokio::join!(signs::of_all_tenants(&context.db), context.bus.is_reachable());
    let signs = signs.ok();
    let parts = Parts {
        postgres: store(signs.is_some(), context.seen.postgres(signs.is_some())),
        redis: store(redis, context.seen.redis(redis)),
        workers: programs(signs.as_ref().map(|signs| (signs.workers, signs.worker_seen))),
        schedulers: programs(signs.as_ref().map(|signs| (signs.schedulers, signs.scheduler_seen))),
    };
    let (code, status) = judge(signs.as_ref(), redis);
    let health = Health {
        status,
        parts,
        sessions: signs.map(|s| Sessions { total: s.wanted, connected: s.connected }).unwrap_or_default(),
        uptime_s: context.pulse.uptime().as_secs(),
        version: env!("CARGO_PKG_VERSION"),
        revision: metrics::REVISION,
        zone_data: ZoneData { version: zone::data_version(), source: zone::data().source() },
        source: context.source_url.to_string(),
    };
    (code, Json(health))
}

/// Pure.
fn judge(signs: Option<&Signs>, redis: bool) -> (StatusCode, &'static str) {
    match signs {
        None => (StatusCode::SERVICE_UNAVAILABLE, "down"),
        Some(signs) if !redis || signs.workers == 0 || signs.schedulers == 0 => (StatusCode::OK, "degraded"),
        Some(_) => (StatusCode::OK, "ok"),
    }
}

fn store(answers: bool, last_seen_at: Option<DateTime<Utc>>) -> Part {
    Part { status: if answers { "ok" } else { "down" }, live: None, last_seen_at }
}

fn programs(known: Option<(i64, Option<DateTime<Utc>>)>) -> Part {
    match known {
        None => Part { status: "unknown", live: None, last_seen_at: None },
        Some((live, last_seen_at)) => {
            Part { status: if live > 0 { "ok" } else { "down" }, live: Some(live), last_seen_at }
        }
    }
}
