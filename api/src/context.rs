//! What every handler can use: the database, bells, signals and keys.

use std::sync::Arc;
use std::time::Duration;

use bells::announce;
use bells::bus::Bus;
use bells::doorbell::Doorbell;
use bells::redis_health::RedisHealth;
use domain::committed::{After, Committed};
use domain::webhook::address::Rules;
use process::ops::Pulse;
use process::telemetry::metrics::labels::{BellKind, RingOutcome};
use process::telemetry::{metrics, trace};
use store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::rows::Rows;
use crate::config::Config;
use crate::key_cache::KeyCache;
use crate::last_seen::LastSeen;

/// The highest number of rings under way at once. Beyond that, a row waits for the scheduler to ring again.
const RINGS_LIMIT: usize = 512;
/// How long a ring may take.
const RING_TIMEOUT: Duration = Duration::from_millis(500);
/// The highest number of live streams of this process.
const STREAMS_LIMIT: usize = 4096;

/// What every handler gets. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The rows, which only the extractors of [`crate::auth`] open.
    pub rows: Rows,
    /// The live signals.
    pub bus: Bus,
    /// The state of Redis.
    pub redis: RedisHealth,
    /// The lookup of API keys.
    pub keys: Arc<KeyCache>,
    /// How long the process has been up.
    pub pulse: Pulse,
    /// The addresses that webhooks may reach.
    pub webhooks: Arc<Rules>,
    /// When the stores last answered.
    pub seen: Arc<LastSeen>,
    /// Where the source code of these binaries is available.
    pub source_url: Arc<str>,
    /// Permits for live streams.
    pub streams: Arc<Semaphore>,
    /// Canceled when the process should stop.
    pub stop: CancellationToken,
    doorbell: Doorbell,
    rings: Arc<Semaphore>,
}

impl Context {
    /// Connects what the API needs, on an open pool. Redis may be away.
    ///
    /// # Errors
    /// If a URL is malformed.
    pub fn new(config: &Config, store: Store, pulse: Pulse, stop: CancellationToken) -> anyhow::Result<Self> {
        Ok(Self {
            keys: Arc::new(KeyCache::new(store.clone())),
            rows: Rows::new(store),
            seen: Arc::default(),
            source_url: config.source_url.as_str().into(),
            bus: Bus::connect(&config.redis.url, &config.redis.prefix)?,
            redis: RedisHealth::connect(&config.redis.url, &config.redis.prefix)?,
            pulse,
            webhooks: Arc::new(config.webhooks.rules()),
            streams: Arc::new(Semaphore::new(STREAMS_LIMIT)),
            stop,
            doorbell: Doorbell::connect(&config.redis.url, &config.redis.prefix)?,
            rings: Arc::new(Semaphore::new(RINGS_LIMIT)),
        })
    }

    /// Signals and rings what must follow a commit, in the background. A failure does not matter, since the row is
    /// stored.
    pub fn announce<T>(&self, committed: Committed<T>) -> T {
        let (value, after) = committed.parts();
        self.tell(after);
        value
    }

    /// Like [`Self::announce`], for the joined results of several steps.
    pub fn tell(&self, after: After) {
        announce::signal(&self.bus, &after);
        if after.bells.is_empty() {
            return;
        }
        let Ok(permit) = self.rings.clone().try_acquire_owned() else {
            for (bell, _) in &after.bells {
                metrics::BELLS_RUNG.of((BellKind::from(bell), RingOutcome::Failed)).inc();
            }
            return;
        };
        let doorbell = self.doorbell.clone();
        tokio::spawn(trace::carry(async move {
            if tokio::time::timeout(RING_TIMEOUT, announce::ring(&doorbell, after)).await.is_err() {
                tracing::warn!("a bell did not ring in time; the row waits");
            }
            drop(permit);
        }));
    }
}
