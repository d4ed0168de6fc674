//! What runs in a worker after its startup: the keeper and the sweeper of its accounts, the listener for bells, and the
//! webhooks. They start together and end in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bells::redis_health::RedisHealth;
use posting::http::Sender;
use posting::means::Means;
use process::clock::BootTime;
use process::serving::Serving;
use process::shutdown::Stop;
use process::telemetry::metrics::labels::Pool;
use process::telemetry::metrics::sample::Watching;
use process::telemetry::metrics::{self, Component, Hook};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Config;
use crate::context::Context;
use crate::fleet::keeper;
use crate::fleet::stop::Stopped;
use crate::fleet::supervisor::Supervisor;
use crate::jobs::Jobs;

/// How long bells and webhook requests that are under way at the end may take.
const LAST: Duration = Duration::from_secs(2);
/// The part of the stop timeout that is kept for the steps after the sessions have ended.
const RESERVE: Duration = Duration::from_secs(5);

/// The running parts. Dropping this stops the renewal of the leases.
pub(crate) struct Parts {
    context: Arc<Context>,
    supervisor: Supervisor,
    stop: Stop,
    /// Cancelled when the leases need no renewal any more, which is after the last session has closed.
    inner: CancellationToken,
    /// Cancelled when the last session has ended. The bells of the sessions are heard until then.
    closed: CancellationToken,
    keeper: JoinHandle<()>,
    sweeper: JoinHandle<()>,
    bells: JoinHandle<()>,
    webhooks: JoinHandle<()>,
    _kept: DropGuard,
    _watched: (Watching, Hook),
}

impl Parts {
    /// Starts all parts.
    ///
    /// # Errors
    /// If TLS for webhooks cannot be set up, or the URL of Redis is malformed.
    pub(crate) fn begin(
        config: &Config,
        context: Arc<Context>,
        redis: RedisHealth,
        serving: &mut Serving,
        stop: Stop,
    ) -> anyhow::Result<Self> {
        let sender = Sender::new(config.webhooks.rules()).context("TLS of webhooks")?;
        let supervisor = Supervisor::new(Arc::clone(&context), usize::try_from(config.capacity).unwrap_or(usize::MAX));
        let (name, release, capacity) = (config.name(), &config.release, config.capacity);
        tracing::info!(worker = %context.worker, name, release, capacity, "worker started");
        let (inner, closed) = (CancellationToken::new(), CancellationToken::new());
        let keeper = keeper::keep(Arc::clone(&context), supervisor.clone(), serving.pulse(), inner.clone());
        serving.beside(redis.tell(inner.clone()));
        let means = Means::new(context.store.clone(), context.bus.clone(), context.worker, sender);
        let jobs = Jobs::new(Arc::clone(&context), supervisor.clone());
        Ok(Self {
            keeper: tokio::spawn(keeper),
            sweeper: tokio::spawn(keeper::sweep(supervisor.clone(), stop.gently.clone())),
            bells: tokio::spawn(hear(Arc::clone(&context), jobs, stop.gently.clone(), closed.clone())),
            webhooks: tokio::spawn(posting::keep(Arc::new(means), stop.gently.clone())),
            _kept: inner.clone().drop_guard(),
            _watched: watch(&context, &config.redis.url)?,
            context,
            supervisor,
            stop,
            inner,
            closed,
        })
    }

    /// Runs until a stop is requested, or until the worker has no right or no way to go on. Returns true if the keeper
    /// or the sweeper broke.
    pub(crate) async fn run(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.stop.gently.cancelled() => false,
            () = self.inner.cancelled() => false,
            () = self.context.unknown_key.cancelled() => false,
            _ = &mut self.keeper => true,
            _ = &mut self.sweeper => !self.stop.gently.is_cancelled(),
        }
    }

    /// Ends all sessions, gives the accounts back, and lets the other parts finish.
    ///
    /// # Errors
    /// If sockets may still be open, or if sessions were cut off.
    pub(crate) async fn end(self, config: &Config) -> anyhow::Result<()> {
        self.stop.gently.cancel();
        tracing::info!(sessions = self.supervisor.claims().len(), "worker is stopping: closing sessions");
        if self.keeper.is_finished() {
            self.supervisor.lapse(); // nothing renews the leases any more
        }
        keeper::leave(&self.context).await;
        let deadline = config.stop_timeout().saturating_sub(RESERVE);
        let stopped = self.supervisor.stop(deadline, config.connects_per_s, &self.stop.at_once).await;
        self.closed.cancel();
        self.sweeper.abort();
        self.inner.cancel();
        if !self.keeper.is_finished() {
            let _ = self.keeper.await;
        }
        // a socket may still be open: no other worker may claim its account before our heartbeat is stale
        anyhow::ensure!(stopped != Stopped::Left, "worker stopped with sessions left");
        let told = store::workers::stopped(self.context.store.pool(), self.context.worker);
        if let Err(error) = store::answered(told).await {
            tracing::warn!(%error, "Postgres was not told; other workers wait until the heartbeat is stale");
        }
        let _ = tokio::time::timeout(LAST, async { tokio::join!(self.bells, self.webhooks) }).await;
        anyhow::ensure!(stopped == Stopped::InOrder, "worker stopped: sessions were cut off");
        Ok(())
    }
}

/// Listens for this worker's bells: those of the shared queues until a stop, those of its sessions until the last one
/// is closed.
async fn hear(context: Arc<Context>, jobs: Jobs, stop: CancellationToken, closed: CancellationToken) {
    context.doorbell.clone().listen(context.worker, Arc::new(jobs), stop, closed).await;
}

/// Watches what the worker depends on, for its metrics.
fn watch(context: &Context, redis_url: &str) -> anyhow::Result<(Watching, Hook)> {
    let pools = vec![
        (Pool::Rows, context.store.pool().clone()),
        (Pool::Sessions, context.store.together().clone()),
        (Pool::Keeping, context.keeping.pool().clone()),
    ];
    let mut watching = metrics::watch(Component::Worker, pools.clone(), redis_url).context("Redis")?;
    store::pings::beside(&mut watching, pools);
    let trust = Arc::clone(&context.trust);
    let trusted = metrics::at_scrape(Component::Worker, move || {
        metrics::WORKER_TRUSTED.set(if trust.holds(BootTime::now()) { 1.0 } else { 0.0 });
    });
    Ok((watching, trusted))
}
