//! The REST API. It is stateless, so that any replica may answer, and may be killed at any moment. Each 2xx answer to a
//! change is backed by a committed row. It never talks to WhatsApp.

use std::sync::Arc;

use bells::redis_health::RedisHealth;
use process::door::{self, Limits};
use process::ops::{self, Pulse};
use process::serving::Serving;
use process::telemetry::metrics::labels::{Endpoint, Pool};
use process::telemetry::metrics::{self, Component};
use store::{PgPool, Store, server};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub mod auth;
pub mod commands;
pub mod config;
pub mod context;
pub mod extract;
pub mod key_cache;
pub mod last_seen;
pub mod middleware;
mod not_yet;
pub mod once;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod qr;
pub mod routes;
pub mod sse;
pub mod wire;

pub use config::Config;
pub use routes::document;

/// The listeners of the API.
pub struct Listeners {
    /// For tenants: the API itself.
    pub tenants: TcpListener,
    /// For orchestrators and Prometheus: health and metrics.
    pub ops: TcpListener,
}

/// Serves health at once and the API as soon as possible, until `stop` is canceled. Then finishes the requests under
/// way.
///
/// # Errors
/// If a URL is malformed or the listener fails.
pub async fn run(config: Config, listeners: Listeners, stop: CancellationToken) -> anyhow::Result<()> {
    let Listeners { tenants, ops } = listeners;
    let (address, ops_address) = (tenants.local_addr()?, ops.local_addr()?);
    Endpoint::are(routes::endpoints());
    let (mut serving, mut startup) = Serving::begin(Component::Api, ops, &stop);
    let limits =
        Limits { connections: config.connections as usize, per_address: config.connections_per_address as usize };
    let (tenants, meanwhile) = not_yet::serve(tenants, limits)?;
    let shares = config.connections();
    let pools = store::startup::postgres(&mut startup, &config.database, [shares.rows]).await;
    let Some([pool]) = pools else { return Ok(()) };
    let accepting = store::connect_impatiently(&config.database.url, shares.accepting)?;
    let store = Store::from(pool.clone()).writing_together_on(accepting.clone());
    let context = context::Context::new(&config, store, serving.pulse(), stop.clone())?;
    let pools = vec![(Pool::Rows, pool.clone()), (Pool::Accepting, accepting.clone())];
    let mut watching = metrics::watch(Component::Api, pools.clone(), &config.redis.url)?;
    store::pings::beside(&mut watching, pools);
    startup.up(ready_check(pool.clone(), context.redis.clone()));
    meanwhile.end().await;
    tracing::info!(%address, ops = %ops_address, "serving");
    serving.beside(context.redis.clone().tell(stop.clone()));
    serving.beside(beat(serving.pulse()));
    let app = routes::router(context.clone());
    door::serve(tenants, app, limits, stop).await;
    serving.end();
    accepting.close().await;
    pool.close().await;
    Ok(())
}

/// Shows regularly that the runtime is not blocked, for the liveness check.
async fn beat(pulse: Pulse) {
    let mut every = tokio::time::interval(std::time::Duration::from_secs(5));
    loop {
        every.tick().await;
        pulse.beat();
    }
}

/// The readiness check: whether Postgres and Redis answer and take writes.
fn ready_check(pool: PgPool, redis: RedisHealth) -> ops::ReadyCheck {
    Arc::new(move || {
        let (pool, redis) = (pool.clone(), redis.clone());
        Box::pin(async move {
            let (rows, bells) = tokio::join!(server::healthy(&pool), redis.ask());
            rows.and(bells).map_err(|trouble| trouble.to_string())
        })
    })
}
