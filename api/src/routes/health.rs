//! The health of the service, for people and monitors. `process::ops` serves liveness and readiness.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use process::telemetry::metrics;
use schedule::zone;
use store::signs::Signs;

use crate::context::Context;
use crate::wire::health::{Health, Part, Parts, Sessions, ZoneData};

/// Read the health of the service
#[utoipa::path(get, path = "/health", operation_id = "get_health", tag = "Service", security(()),
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub async fn get(State(context): State<Context>) -> (StatusCode, Json<Health>) {
    let (signs, redis) = tokio::join!(context.rows.signs(), context.bus.is_reachable());
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

/// Pure. The HTTP code and the status of the service.
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
