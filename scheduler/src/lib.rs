//! What the clock does: `main → run → duties, one file each → context → common`.

mod config;
mod context;
pub mod duties;
pub mod duty;
mod wakings;

use std::sync::Arc;

use anyhow::Context as _;
use common::ops;
use common::telemetry::metrics::labels::{Duty, Pool};
use common::telemetry::metrics::{self, Component};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{Cli, Command, Config, Ops};
pub use context::Context;

/// Runs a scheduler until `stop` is cancelled; rounds under way are finished when it returns. `listener` serves health and
/// metrics.
///
/// # Errors
/// When it can't start: a malformed URL, or no database. Afterwards it goes on through whatever fails.
pub async fn run(config: Config, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
    let context = Context::open(&config).await?;
    let all = duties::all(&config);
    Duty::are(all.iter().map(|duty| duty.name()));
    let pools = vec![(Pool::Rows, context.db.clone())];
    let _watching = metrics::watch(Component::Scheduler, pools, &config.redis.url).context("Redis")?;
    let ops = tokio::spawn(ops::serve(
        Component::Scheduler,
        listener,
        context.pulse.clone(),
        ready_check(&context),
        stop.clone(),
    ));
    let wakings = tokio::spawn(wakings::hear(context.clone()));
    tracing::info!("scheduler started");
    let mut duties = JoinSet::new();
    for duty in all {
        let (rounds, _) = watch::channel(duty::Rounds::default());
        duties.spawn(duty::keep_doing(duty, context.clone(), rounds, stop.clone()));
    }
    stop.cancelled().await;
    context.pulse.set_ready(false);
    duties.join_all().await;
    wakings.abort();
    ops.abort();
    tracing::info!("scheduler stopped");
    Ok(())
}

/// What readiness asks: whether Postgres answers. Redis may be away: what is due is written all the same, and rung for later.
fn ready_check(context: &Context) -> ops::ReadyCheck {
    let db = context.db.clone();
    Arc::new(move || {
        let db = db.clone();
        Box::pin(async move {
            let answered = common::store::due::next_due_in(&db).await;
            answered.map(drop).map_err(|_| "Postgres does not answer")
        })
    })
}
