//! The life of a worker process: start, serve, stop in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bells::bus::Bus;
use bells::doorbell::Doorbell;
use bells::lease::Leases;
use bells::limiter::Limiter;
use bells::redis_health::RedisHealth;
use domain::id::WorkerId;
use process::clock::BootTime;
use process::ops::{self, Pulse};
use process::shutdown::Stop;
use process::startup::{Readiness, Startup};
use process::telemetry::metrics::labels::Pool;
use process::telemetry::metrics::{self, Component};
use process::trouble;
use process::trouble::postgres::Place;
use store::seal::Sealer;
use store::workers::Boot;
use store::{PgPool, server};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::context::Context;
use crate::fleet::board::Board;
use crate::fleet::keeper;
use crate::fleet::stop::Stopped;
use crate::fleet::supervisor::Supervisor;
use crate::fleet::trust::Trust;
use crate::jobs::Jobs;
use crate::keys::{self, UnknownKey};
use crate::link::Connector;
use posting::http::Sender;
use posting::means::Means;

/// Clients built at the same time by one worker.
const OPENING: usize = 32;
/// For bells and requests of webhooks that are under way at the end.
const LAST: Duration = Duration::from_secs(2);
/// Part of the stop's time that is kept for what follows the sessions' orderly end.
const RESERVE: Duration = Duration::from_secs(5);

/// Runs a worker until `stop` is cancelled; then lets every session finish and close, and gives every account back, within
/// the stop's time, or cuts it short when told to stop at once. `listener` serves health and metrics from the first moment.
/// Waits for Postgres and its schema before it does anything, and goes on through whatever fails afterwards.
///
/// # Errors
/// [`keys::Misfit`] when credentials are sealed under a key that it was not given, at the start or later; a malformed
/// setting. Says at its end if sockets may be open still.
pub async fn run(
    config: Config,
    connector: Arc<dyn Connector>,
    listener: TcpListener,
    stop: impl Into<Stop>,
) -> anyhow::Result<()> {
    let Stop { gently: stop, at_once } = stop.into();
    let (worker, pulse, readiness) = (WorkerId::new(), Pulse::default(), Readiness::default());
    let inner = CancellationToken::new(); // keeps leases alive until the last session has closed
    let ops = tokio::spawn(ops::serve(Component::Worker, listener, pulse.clone(), readiness.check(), inner.clone()));
    let _served = inner.clone().drop_guard();
    let mut startup = Startup::new("worker", pulse.clone(), readiness, stop.clone());
    let Some((pools, start)) = started(&mut startup, &config, worker).await? else { return Ok(()) };
    let context = Arc::new(context(&config, worker, connector, pools)?);
    context.trust.renewed(start);
    let redis = RedisHealth::connect(&config.redis.url, &config.redis.prefix).context("Redis")?;
    startup.up(ready_check(Arc::clone(&context), redis.clone()));
    let sender = Sender::new(config.webhooks.rules()).context("TLS of webhooks")?;
    let supervisor = Supervisor::new(Arc::clone(&context), usize::try_from(config.capacity).unwrap_or(usize::MAX));
    tracing::info!(%worker, name = process::host::name(), release = config.release, capacity = config.capacity, "worker started");

    let telling = tokio::spawn(redis.tell(inner.clone()));
    let mut keeper = tokio::spawn(keeper::keep(Arc::clone(&context), supervisor.clone(), pulse.clone(), inner.clone()));
    let mut sweeper = tokio::spawn(keeper::sweep(supervisor.clone(), stop.clone()));
    let jobs = Arc::new(Jobs::new(Arc::clone(&context), supervisor.clone()));
    let doorbell = context.doorbell.clone();
    let closed = CancellationToken::new(); // the last session has ended: until then its bells are heard
    let (bells_stop, inbox_stop) = (stop.clone(), closed.clone());
    let bells = tokio::spawn(async move { doorbell.listen(worker, jobs, bells_stop, inbox_stop).await });
    let means = Means::new(context.pool.clone(), context.bus.clone(), worker, sender);
    let webhooks = tokio::spawn(posting::keep(Arc::new(means), stop.clone()));
    let pools = vec![(Pool::Rows, context.pool.clone()), (Pool::Keeping, context.keeping.clone())];
    let _watching = store::pings::watch(Component::Worker, pools, &config.redis.url).context("Redis")?;
    let trust = Arc::clone(&context.trust);
    let _trusted = metrics::at_scrape(Component::Worker, move || {
        metrics::WORKER_TRUSTED.set(if trust.holds(BootTime::now()) { 1.0 } else { 0.0 });
    });

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
        supervisor.lapse(); // nobody keeps the leases any more
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
    telling.abort();
    anyhow::ensure!(stopped == Stopped::InOrder, "worker stopped: sessions were cut off");
    anyhow::ensure!(!broke, "worker stopped: what keeps its leases or looks for accounts broke");
    tracing::info!("worker stopped");
    match context.unknown_key.get() {
        Some(key_id) => Err(keys::Misfit::unknown(&context.pool, key_id).await.into()),
        None => Ok(()),
    }
}

/// Waits until Postgres can be worked with and the keys fit it, and registers. `None`: it was told to stop.
async fn started(
    startup: &mut Startup,
    config: &Config,
    worker: WorkerId,
) -> anyhow::Result<Option<([PgPool; 2], BootTime)>> {
    let sealer = Sealer::parse(&config.credential_keys.0).context("CREDENTIAL_KEYS")?;
    loop {
        let shares = config.connections();
        let pools = store::startup::postgres(startup, &config.database, [shares.rows, shares.keeping]).await;
        let Some([pool, keeping]) = pools else { return Ok(None) };
        let start = BootTime::now();
        let Err(error) = register(&pool, &sealer, config, worker).await else {
            return Ok(Some(([pool, keeping], start)));
        };
        let place = Place::from(&*pool.connect_options());
        let trouble = match error.downcast::<store::Error>()? {
            store::Error::Database(error) => trouble::postgres::of(&error, &place),
            other => return Err(other.into()),
        };
        if startup.again(&trouble).await.is_none() {
            return Ok(None);
        }
    }
}

async fn register(pool: &PgPool, sealer: &Sealer, config: &Config, worker: WorkerId) -> anyhow::Result<()> {
    keys::check(pool, sealer).await?;
    let name = process::host::name();
    let capacity = i32::try_from(config.capacity).unwrap_or(i32::MAX);
    let lease = config.lease_ttl();
    let boot = Boot { name: &name, version: env!("CARGO_PKG_VERSION"), release: &config.release, capacity, lease };
    Ok(store::workers::register(pool, worker, boot).await?)
}

fn context(
    config: &Config,
    worker: WorkerId,
    connector: Arc<dyn Connector>,
    [pool, keeping]: [PgPool; 2],
) -> anyhow::Result<Context> {
    let (url, prefix) = (&config.redis.url, &config.redis.prefix);
    Ok(Context {
        worker,
        leases: Leases::connect(url, prefix, worker, config.lease_ttl()).context("Redis")?,
        doorbell: Doorbell::connect(url, prefix).context("Redis")?,
        bus: Bus::connect(url, prefix).context("Redis")?,
        board: Board::start(pool.clone()),
        trust: Arc::new(Trust::new(config.lease_ttl())),
        reachout_hold: config.reachout_hold(),
        connector,
        unknown_key: UnknownKey::default(),
        opening: Arc::new(Semaphore::new(OPENING)),
        limiter: Limiter::connect(url, prefix, config.connects_per_s).context("Redis")?,
        pool,
        keeping,
    })
}

/// What readiness asks: whether it has the right to act, and both stores answer and take writes.
fn ready_check(context: Arc<Context>, redis: RedisHealth) -> ops::ReadyCheck {
    Arc::new(move || {
        let (context, redis) = (Arc::clone(&context), redis.clone());
        Box::pin(async move {
            if !context.trust.holds(BootTime::now()) {
                return Err("the right to act has run out: neither Postgres nor Redis confirms it".to_owned());
            }
            let (rows, leases) = tokio::join!(server::healthy(&context.pool), redis.ask());
            rows.and(leases).map_err(|trouble| trouble.to_string())
        })
    })
}
