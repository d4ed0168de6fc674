//! How the service is, for people and monitors (R60). Liveness and readiness are of `common::ops`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use common::store::accounts;
use common::telemetry::metrics;
use common::zone::{self, Source};
use serde::Serialize;
use utoipa::ToSchema;

use crate::context::Context;

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`; `degraded` when Redis is away (slower, nothing is lost); `down` when Postgres is.
    #[schema(example = "ok")]
    status: &'static str,
    /// How many sessions there are.
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
    let (count, redis) = tokio::join!(accounts::count_sessions_of_all_tenants(&context.db), context.bus.is_reachable());
    let (code, status) = match (&count, redis) {
        (Err(_), _) => (StatusCode::SERVICE_UNAVAILABLE, "down"),
        (Ok(_), false) => (StatusCode::OK, "degraded"),
        (Ok(_), true) => (StatusCode::OK, "ok"),
    };
    let sessions = count.map(|(total, connected)| Sessions { total, connected }).unwrap_or_default();
    let health = Health {
        status,
        sessions,
        uptime_s: context.pulse.uptime().as_secs(),
        version: env!("CARGO_PKG_VERSION"),
        revision: metrics::REVISION,
        zone_data: ZoneData { version: zone::data_version(), source: zone::data().source() },
        source: context.source_url.to_string(),
    };
    (code, Json(health))
}
