//! The scheduler does what is due by the clock: `main → run → duties, one file each → context → store, bells`.

pub mod config;
mod context;
pub mod duties;
pub mod duty;
mod wakings;

use std::sync::Arc;

use anyhow::Context as _;
use bells::redis_health::RedisHealth;
use process::ops;
use process::serving::Serving;
use process::telemetry::metrics::labels::{Duty, Pool};
use process::telemetry::metrics::{self, Component};
use store::{PgPool, Store, server, signs};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{Cli, Command, Config, Ops};
pub use context::Context;

/// Runs a scheduler until `stop` is cancelled. Rounds under way are finished when it returns. `listener` serves health
/// and metrics during the whole run. The scheduler waits for Postgres and its schema at the start; later failures do
/// not end it.
///
/// # Errors
/// If a URL is malformed.
pub async fn run(config: Config, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
    let all = duties::all(&config);
    Duty::are(all.iter().map(|duty| duty.name()));
    let (mut serving, mut startup) = Serving::begin(Component::Scheduler, listener, &stop);
    let pools = store::startup::postgres(&mut startup, &config.database, [config.database.max_connections]).await;
    let Some([pool]) = pools else { return Ok(()) };
    let context = Context::new(&config, Store::from(pool.clone()), serving.pulse())?;
    let pools = vec![(Pool::Rows, pool.clone())];
    let mut watching = metrics::watch(Component::Scheduler, pools.clone(), &config.redis.url).context("Redis")?;
    store::pings::beside(&mut watching, pools);
    startup.up(ready_check(pool));
    let redis = RedisHealth::connect(&config.redis.url, &config.redis.prefix)?;
    serving.beside(redis.tell(stop.clone()));
    serving.beside(wakings::hear(context.clone()));
    tracing::info!("scheduler started");
    let mut duties = JoinSet::new();
    for duty in all {
        let (rounds, _) = watch::channel(duty::Rounds::default());
        duties.spawn(duty::keep_doing(duty, context.clone(), rounds, stop.clone()));
    }
    stop.cancelled().await;
    duties.join_all().await;
    if let Err(error) = signs::scheduler_stops(context.store.pool(), context.boot).await {
        tracing::warn!(%error, "Postgres was not told that this scheduler stops; it counts as alive for some seconds");
    }
    tracing::info!("scheduler stopped");
    Ok(())
}

/// The readiness check: Postgres answers and accepts writes. Redis may be unreachable: due work is still written, and
/// its bells ring later.
fn ready_check(pool: PgPool) -> ops::ReadyCheck {
    Arc::new(move || {
        let pool = pool.clone();
        Box::pin(async move { server::healthy(&pool).await.map_err(|trouble| trouble.to_string()) })
    })
}
