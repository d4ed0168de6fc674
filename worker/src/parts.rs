//! What runs in a worker beside the start: the keeper and the sweeper of its accounts, the ear for bells, the webhooks. They begin
//! together, and end in order.

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

/// For bells and requests of webhooks that are under way at the end.
const LAST: Duration = Duration::from_secs(2);
/// Part of the stop's time that is kept for what follows the sessions' orderly end.
const RESERVE: Duration = Duration::from_secs(5);

/// What runs. The leases are kept until it is dropped.
pub(crate) struct Parts {
    context: Arc<Context>,
    supervisor: Supervisor,
    stop: Stop,
    /// Keeps leases alive until the last session has closed.
    inner: CancellationToken,
    /// The last session has ended: until then its bells are heard.
    closed: CancellationToken,
    keeper: JoinHandle<()>,
    sweeper: JoinHandle<()>,
    bells: JoinHandle<()>,
    webhooks: JoinHandle<()>,
    _kept: DropGuard,
    _watched: (Watching, Hook),
}

impl Parts {
    /// Begins all of it.
    ///
    /// # Errors
    /// When there is no TLS for webhooks, or the URL of Redis is malformed.
    pub(crate) fn begin(
        config: &Config,
        context: Arc<Context>,
        redis: RedisHealth,
        serving: &mut Serving,
        stop: Stop,
    ) -> anyhow::Result<Self> {
        let sender = Sender::new(config.webhooks.rules()).context("TLS of webhooks")?;
        let supervisor = Supervisor::new(Arc::clone(&context), usize::try_from(config.capacity).unwrap_or(usize::MAX));
        let (name, release, capacity) = (process::host::name(), &config.release, config.capacity);
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

    /// Runs until a stop, or until there is no right or no way to go on. Answers whether a part broke: nothing ends them but a
    /// stop, or a panic.
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

    /// Ends all sessions, gives the accounts back, and lets the rest finish.
    ///
    /// # Errors
    /// When sockets may be open still, or sessions were cut off.
    pub(crate) async fn end(self, config: &Config) -> anyhow::Result<()> {
        self.stop.gently.cancel();
        tracing::info!(sessions = self.supervisor.claims().len(), "worker is stopping: closing sessions");
        if self.keeper.is_finished() {
            self.supervisor.lapse(); // nobody keeps the leases any more
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
        // a socket may be open still: nobody may take its account before our heartbeat is stale
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

/// Hears the bells of this worker until a stop, and those of its sessions until the last one is closed.
async fn hear(context: Arc<Context>, jobs: Jobs, stop: CancellationToken, closed: CancellationToken) {
    context.doorbell.clone().listen(context.worker, Arc::new(jobs), stop, closed).await;
}

/// Looks at what a worker rests on, for the page of metrics.
fn watch(context: &Context, redis_url: &str) -> anyhow::Result<(Watching, Hook)> {
    let pools = vec![(Pool::Rows, context.store.pool().clone()), (Pool::Keeping, context.keeping.pool().clone())];
    let mut watching = metrics::watch(Component::Worker, pools.clone(), redis_url).context("Redis")?;
    store::pings::beside(&mut watching, pools);
    let trust = Arc::clone(&context.trust);
    let trusted = metrics::at_scrape(Component::Worker, move || {
        metrics::WORKER_TRUSTED.set(if trust.holds(BootTime::now()) { 1.0 } else { 0.0 });
    });
    Ok((watching, trusted))
}
