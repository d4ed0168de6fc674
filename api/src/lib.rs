//! The REST API: stateless, so that any replica may answer and be killed at any moment. Whatever it answers with 2xx is
//! a committed row; it never talks to WhatsApp.

use std::sync::Arc;

use axum::serve::ListenerExt as _;
use common::ops;
use common::telemetry::metrics::labels::{Endpoint, Pool};
use common::telemetry::metrics::{self, Component};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub mod auth;
pub mod commands;
pub mod config;
pub mod context;
pub mod extract;
pub mod middleware;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod qr;
pub mod routes;
pub mod sse;

pub use config::Config;
pub use openapi::document;

/// Where the api listens.
pub struct Listeners {
    /// For tenants: the API itself.
    pub tenants: TcpListener,
    /// For orchestrators and Prometheus: health and metrics.
    pub ops: TcpListener,
}

/// Serves until `stop` is cancelled; then finishes what was begun.
///
/// # Errors
/// When a URL is malformed, Postgres can't be reached at the start, or the listener fails.
pub async fn run(config: Config, listeners: Listeners, stop: CancellationToken) -> anyhow::Result<()> {
    let redis_url = config.redis.url.clone();
    let context = context::Context::open(&config, stop.clone()).await?;
    let Listeners { tenants, ops } = listeners;
    tracing::info!(address = %tenants.local_addr()?, ops = %ops.local_addr()?, "serving");
    Endpoint::are(openapi::endpoints());
    let _watching = metrics::watch(Component::Api, vec![(Pool::Rows, context.db.clone())], &redis_url)?;
    let beating = tokio::spawn(beat(context.pulse.clone()));
    let served = CancellationToken::new(); // health and metrics are served until the last request is answered
    let ops =
        tokio::spawn(ops::serve(Component::Api, ops, context.pulse.clone(), ready_check(&context), served.clone()));
    let app = routes::router(context.clone());
    let listener = tenants.tap_io(|socket| {
        // Answers are small; waiting to fill a packet only delays them.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
    });
    let pulse = context.pulse.clone();
    let stopping = async move {
        stop.cancelled().await;
        pulse.set_ready(false);
    };
    axum::serve(listener, app).with_graceful_shutdown(stopping).await?;
    beating.abort();
    served.cancel();
    ops.abort();
    context.db.close().await;
    Ok(())
}

/// Shows that the runtime still schedules; liveness reads it.
async fn beat(pulse: ops::Pulse) {
    let mut every = tokio::time::interval(std::time::Duration::from_secs(5));
    loop {
        every.tick().await;
        pulse.beat();
    }
}

/// What readiness asks: whether Postgres and Redis answer.
fn ready_check(context: &context::Context) -> ops::ReadyCheck {
    let (db, bus) = (context.db.clone(), context.bus.clone());
    Arc::new(move || {
        let (db, bus) = (db.clone(), bus.clone());
        Box::pin(async move {
            let (rows, redis) =
                tokio::join!(common::store::accounts::count_sessions_of_all_tenants(&db), bus.is_reachable());
            match (rows, redis) {
                (Err(_), _) => Err("postgres does not answer"),
                (Ok(_), false) => Err("redis does not answer"),
                (Ok(_), true) => Ok(()),
            }
        })
    })
}
