//! The life of a worker process: start, serve, stop in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use common::bus::Bus;
use common::clock::BootTime;
use common::doorbell::Doorbell;
use common::id::WorkerId;
use common::lease::Leases;
use common::limiter::Limiter;
use common::ops::{self, Pulse};
use common::seal::Sealer;
use common::shutdown::Stop;
use common::store::{self, workers::Boot};
use common::telemetry::metrics::labels::Pool;
use common::telemetry::metrics::{self, Component};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::context::Context;
use crate::jobs::Jobs;
use crate::keys::{self, UnknownKey};
use crate::link::Connector;
use crate::session::board::Board;
use crate::session::keeper;
use crate::session::stop::Stopped;
use crate::session::supervisor::Supervisor;
use crate::session::trust::Trust;
use crate::webhook::{self, Means, http::Sender};

/// One question of readiness to one store.
const READY_ASK: Duration = Duration::from_millis(1_500);
/// Clients built at the same time by one worker.
const OPENING: usize = 32;
/// Connections to Postgres for the heartbeat.
const KEEPING: u32 = 2;
/// For bells and requests of webhooks that are under way at the end.
const LAST: Duration = Duration::from_secs(2);
/// Part of the stop's time that is kept for what follows the sessions' orderly end.
const RESERVE: Duration = Duration::from_secs(5);

/// Runs a worker until `stop` is cancelled; then lets every session finish and close, and gives every account back, within
/// the stop's time, or cuts it short when told to stop at once. `listener` serves health and metrics.
///
/// # Errors
/// When it can't start: bad configuration, or no database. Afterwards it goes on through whatever fails, with one exception:
/// [`keys::Misfit`] when credentials are sealed under a key that it was not given, at the start or later. Says at its end if
/// sockets may be open still.
pub async fn run(
    config: Config,
    connector: Arc<dyn Connector>,
    listener: TcpListener,
    stop: impl Into<Stop>,
) -> anyhow::Result<()> {
    let Stop { gently: stop, at_once } = stop.into();
    let worker = WorkerId::new();
    let pool = store::connect(&config.database.url, config.database.max_connections).await.context("Postgres")?;
    let keeping = store::connect(&config.database.url, KEEPING).await.context("Postgres")?;
    keys::check(&pool, &Sealer::parse(&config.credential_keys.0).context("CREDENTIAL_KEYS")?).await?;
    let sender = Sender::new(config.webhooks.clone()).context("TLS of webhooks")?;
    let leases =
        Leases::connect(&config.redis.url, &config.redis.prefix, worker, config.lease_ttl()).context("Redis")?;
    let context = Arc::new(Context {
        worker,
        leases,
        doorbell: Doorbell::connect(&config.redis.url, &config.redis.prefix).context("Redis")?,
        bus: Bus::connect(&config.redis.url, &config.redis.prefix).context("Redis")?,
        board: Board::start(pool.clone()),
        trust: Arc::new(Trust::new(config.lease_ttl())),
        reachout_hold: config.reachout_hold(),
        connector,
        unknown_key: UnknownKey::default(),
        opening: Arc::new(Semaphore::new(OPENING)),
        limiter: Limiter::connect(&config.redis.url, &config.redis.prefix, config.connects_per_s).context("Redis")?,
        pool,
        keeping,
    });
    let start = BootTime::now();
    let name = hostname();
    let capacity = i32::try_from(config.capacity).unwrap_or(i32::MAX);
    let (version, release) = (env!("CARGO_PKG_VERSION"), config.release.as_str());
    store::workers::register(&context.pool, worker, Boot { name: &name, version, release, capacity }).await?;
    context.trust.renewed(start);
    let supervisor = Supervisor::new(Arc::clone(&context), usize::try_from(config.capacity).unwrap_or(usize::MAX));
    let pulse = Pulse::default();
    tracing::info!(%worker, name, release, capacity, "worker started");

    let inner = CancellationToken::new(); // keeps leases alive until the last session has closed
    let mut keeper = tokio::spawn(keeper::keep(Arc::clone(&context), supervisor.clone(), pulse.clone(), inner.clone()));
    let mut sweeper = tokio::spawn(keeper::sweep(supervisor.clone(), stop.clone()));
    let jobs = Arc::new(Jobs::new(Arc::clone(&context), supervisor.clone()));
    let doorbell = context.doorbell.clone();
    let closed = CancellationToken::new(); // the last session has ended: until then its bells are heard
    let (bells_stop, inbox_stop) = (stop.clone(), closed.clone());
    let bells = tokio::spawn(async move { doorbell.listen(worker, jobs, bells_stop, inbox_stop).await });
    let means = Means::new(context.pool.clone(), context.bus.clone(), worker, config.lease_ttl(), sender);
    let webhooks = tokio::spawn(webhook::keep(Arc::new(means), stop.clone()));
    let pools = vec![(Pool::Rows, context.pool.clone()), (Pool::Keeping, context.keeping.clone())];
    let _watching = metrics::watch(Component::Worker, pools, &config.redis.url).context("Redis")?;
    let trust = Arc::clone(&context.trust);
    let _trusted = metrics::at_scrape(Component::Worker, move || {
        metrics::WORKER_TRUSTED.set(if trust.holds(BootTime::now()) { 1.0 } else { 0.0 });
    });
    let ops = tokio::spawn(ops::serve(
        Component::Worker,
        listener,
        pulse.clone(),
        ready_check(Arc::clone(&context)),
        inner.clone(),
    ));

    let broke = tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = inner.cancelled() => false,
        () = context.unknown_key.cancelled() => false,
        // nothing ends them but a stop, or a panic
        _ = &mut keeper => true,
        _ = &mut sweeper => !stop.is_cancelled(),
    };
    stop.cancel();
    pulse.set_ready(false);
    tracing::info!(sessions = supervisor.claims().len(), "worker is stopping: closing sessions");
    if keeper.is_finished() {
        supervisor.fence_all(); // nobody keeps the leases any more
    }
    keeper::leave(&context).await;
    let deadline = config.stop_timeout().saturating_sub(RESERVE);
    let stopped = supervisor.stop(deadline, config.connects_per_s, &at_once).await;
    closed.cancel();
    sweeper.abort();
    inner.cancel();
    if !keeper.is_finished() {
        let _ = keeper.await;
    }
    // a socket may be open still: nobody may take its account before our heartbeat is stale
    anyhow::ensure!(stopped != Stopped::Left, "worker stopped with sessions left");
    if let Err(error) = store::answered(store::workers::stopped(&context.pool, worker)).await {
        tracing::warn!(%error, "Postgres was not told; other workers wait until the heartbeat is stale");
    }
    let _ = tokio::time::timeout(LAST, async { tokio::join!(bells, webhooks) }).await;
    ops.abort();
    anyhow::ensure!(stopped == Stopped::InOrder, "worker stopped: sessions were cut off");
    anyhow::ensure!(!broke, "worker stopped: what keeps its leases or looks for accounts broke");
    tracing::info!("worker stopped");
    match context.unknown_key.get() {
        Some(key_id) => Err(keys::Misfit::unknown(&context.pool, key_id).await.into()),
        None => Ok(()),
    }
}

/// What readiness asks: whether it has the right to act, and both stores answer.
fn ready_check(context: Arc<Context>) -> ops::ReadyCheck {
    Arc::new(move || {
        let context = Arc::clone(&context);
        Box::pin(async move {
            if !context.trust.holds(BootTime::now()) {
                return Err("the right to act has run out: neither Postgres nor Redis confirms it");
            }
            let (rows, leases) = tokio::join!(
                tokio::time::timeout(READY_ASK, store::ping(&context.pool)),
                tokio::time::timeout(READY_ASK, context.leases.ping()),
            );
            match (rows, leases) {
                (Ok(Ok(())), Ok(Ok(()))) => Ok(()),
                (Ok(Ok(())), _) => Err("Redis does not answer"),
                _ => Err("Postgres does not answer"),
            }
        })
    })
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "worker".to_owned(), |name| name.trim().to_owned())
}
