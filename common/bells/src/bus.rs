//! Live signals over Redis pub/sub. A signal says that a tenant has news. It carries no data and may be lost: listeners
//! read the rows, which are the truth.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use tokio::sync::{Notify, watch};
use tokio::time::error::Elapsed;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::keys::RedisKeys;
use domain::id::TenantId;
use process::telemetry::metrics::failure;
use process::telemetry::metrics::labels::RedisUser;

/// How many tenants may have a signal waiting for Redis. Signals beyond that are dropped; the readers' slow poll finds
/// their news.
const PENDING_LIMIT: usize = 10_000;
/// The time limit of one exchange with Redis.
const REDIS_TIMEOUT: Duration = Duration::from_secs(1);
/// The wait before the next attempt to reach Redis.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The process's access to the signals. Cheap to clone. All subscriptions share one connection to Redis, and dropping
/// the last clone ends it.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
    running: CancellationToken,
    _stops_with_the_last_clone: Arc<DropGuard>,
}

struct Inner {
    client: redis::Client,
    manager: ConnectionManager,
    keys: RedisKeys,
    listeners: Mutex<HashMap<TenantId, watch::Sender<u64>>>,
    listeners_changed: Notify,
    listening: Once,
    pending: Mutex<HashSet<TenantId>>,
    pending_added: Notify,
}

/// One listener's subscription to a tenant's signals. Several signals between two calls count as one.
pub struct Subscription {
    receiver: watch::Receiver<u64>,
    _registered: Registered,
}

/// Unsubscribes from the tenant's channel when its last listener is dropped.
struct Registered {
    bus: Arc<Inner>,
    tenant: TenantId,
}

impl Bus {
    /// Prepares the bus without connecting yet, so Redis may be unreachable. Call it within a tokio runtime.
    ///
    /// # Errors
    /// If the URL is malformed.
    pub fn connect(redis_url: &str, prefix: &str) -> redis::RedisResult<Self> {
        let client = redis::Client::open(redis_url)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(REDIS_TIMEOUT))
            .set_response_timeout(Some(REDIS_TIMEOUT))
            .set_number_of_retries(1);
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        let inner = Arc::new(Inner {
            client,
            manager,
            keys: RedisKeys::new(prefix),
            listeners: Mutex::default(),
            listeners_changed: Notify::new(),
            listening: Once::new(),
            pending: Mutex::default(),
            pending_added: Notify::new(),
        });
        let running = CancellationToken::new();
        tokio::spawn(running.clone().run_until_cancelled_owned(publish(inner.clone())));
        Ok(Self { inner, _stops_with_the_last_clone: Arc::new(running.clone().drop_guard()), running })
    }

    /// Tells every process that this tenant has news. Best effort: returns at once and never fails.
    pub fn signal(&self, tenant: TenantId) {
        self.inner.wake(tenant);
        {
            let mut pending = lock(&self.inner.pending);
            if pending.len() >= PENDING_LIMIT {
                return;
            }
            pending.insert(tenant);
        }
        self.inner.pending_added.notify_one();
    }

    /// Listens for this tenant's signals from every process, including this one.
    #[must_use]
    pub fn subscribe(&self, tenant: TenantId) -> Subscription {
        let receiver = lock(&self.inner.listeners).entry(tenant).or_default().subscribe();
        self.inner.listeners_changed.notify_one();
        self.inner.listening.call_once(|| {
            tokio::spawn(self.running.clone().run_until_cancelled_owned(listen(self.inner.clone())));
        });
        Subscription { receiver, _registered: Registered { bus: self.inner.clone(), tenant } }
    }

    /// How many subscriptions this process holds for a tenant.
    #[must_use]
    pub fn listeners(&self, tenant: TenantId) -> usize {
        lock(&self.inner.listeners).get(&tenant).map_or(0, watch::Sender::receiver_count)
    }

    /// Whether Redis answers within a second.
    pub async fn is_reachable(&self) -> bool {
        let mut redis = self.inner.manager.clone();
        let ping = redis::cmd("PING");
        let answer = tokio::time::timeout(REDIS_TIMEOUT, ping.query_async::<()>(&mut redis)).await;
        !failed(answer)
    }
}

impl Subscription {
    /// Waits for the next signal. Every (re)connection to Redis counts as a signal, because some may have been missed.
    /// Safe to cancel.
    pub async fn signaled(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The bus is gone, so the process is stopping and no signal will come.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut listeners = lock(&self.bus.listeners);
        // The receiver of this subscription is dropped before this field.
        if listeners.get(&self.tenant).is_some_and(|sender| sender.receiver_count() == 0) {
            listeners.remove(&self.tenant);
            drop(listeners);
            self.bus.listeners_changed.notify_one();
        }
    }
}

impl Inner {
    fn wake(&self, tenant: TenantId) {
        if let Some(sender) = lock(&self.listeners).get(&tenant) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    fn wanted(&self) -> HashSet<TenantId> {
        lock(&self.listeners).keys().copied().collect()
    }
}

/// A panic of another thread that held the lock leaves the map usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the call failed. Counts a failure.
fn failed<T>(answer: Result<redis::RedisResult<T>, Elapsed>) -> bool {
    match answer {
        Ok(Ok(_)) => return false,
        Ok(Err(error)) => failure::count_redis(RedisUser::Bus, &error),
        Err(_) => failure::count_redis_timeout(RedisUser::Bus),
    }
    true
}

/// Publishes the waiting signals, each tenant once per round.
async fn publish(bus: Arc<Inner>) {
    loop {
        bus.pending_added.notified().await;
        let batch = std::mem::take(&mut *lock(&bus.pending));
        if batch.is_empty() {
            continue;
        }
        let mut pipeline = redis::pipe();
        for tenant in &batch {
            pipeline.cmd("PUBLISH").arg(bus.keys.signal(*tenant)).arg("").ignore();
        }
        let mut redis = bus.manager.clone();
        let sent = tokio::time::timeout(REDIS_TIMEOUT * 2, pipeline.query_async::<()>(&mut redis)).await;
        if failed(sent) {
            tracing::debug!(signals = batch.len(), "signals were lost: Redis is away");
        }
    }
}

/// Keeps the subscribing connection alive.
async fn listen(bus: Arc<Inner>) {
    loop {
        match tokio::time::timeout(REDIS_TIMEOUT, bus.client.get_async_pubsub()).await {
            Ok(Ok(connection)) => {
                if let Err(error) = follow(&bus, connection).await {
                    failure::count_redis(RedisUser::Bus, &error);
                    tracing::debug!(%error, "the connection for signals ended");
                }
            }
            refused => {
                failed(refused);
            }
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Listens on one connection until it ends. Subscribes and unsubscribes tenants as listeners come and go.
async fn follow(bus: &Inner, connection: PubSub) -> redis::RedisResult<()> {
    let (mut sink, mut messages) = connection.split();
    let mut subscribed = HashSet::new();
    loop {
        let wanted = bus.wanted();
        for tenant in wanted.difference(&subscribed) {
            sink.subscribe(bus.keys.signal(*tenant)).await?;
            bus.wake(*tenant);
        }
        for tenant in subscribed.difference(&wanted) {
            sink.unsubscribe(bus.keys.signal(*tenant)).await?;
        }
        subscribed = wanted;
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => {
                    if let Some(tenant) = bus.keys.tenant_of(message.get_channel_name()) {
                        bus.wake(tenant);
                    }
                }
                None => return Ok(()),
            },
            () = bus.listeners_changed.notified() => {}
        }
    }
}
