//! What every handler has at hand: the rows, the bells, the signals and the keys.

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

/// Rings under way at one time; above that a row just waits for the scheduler to ring again.
const RINGS_LIMIT: usize = 512;
/// A ring that takes longer is given up.
const RING_TIMEOUT: Duration = Duration::from_millis(500);
/// Live streams of one process.
const STREAMS_LIMIT: usize = 4096;

/// Cheap to clone; every handler gets one.
#[derive(Clone)]
pub struct Context {
    /// The rows, which only the extractors of [`crate::auth`] open.
    pub rows: Rows,
    /// The live signals.
    pub bus: Bus,
    /// Whether Redis does what it should.
    pub redis: RedisHealth,
    /// Who may call.
    pub keys: Arc<KeyCache>,
    /// How long the process has been up.
    pub pulse: Pulse,
    /// Where webhooks may lead.
    pub webhooks: Arc<Rules>,
    /// When the stores last answered.
    pub seen: Arc<LastSeen>,
    /// Where the source of these binaries is to be had.
    pub source_url: Arc<str>,
    /// Room for live streams.
    pub streams: Arc<Semaphore>,
    /// Cancelled when the process is to stop.
    pub stop: CancellationToken,
    doorbell: Doorbell,
    rings: Arc<Semaphore>,
}

impl Context {
    /// What the api needs, on an open pool. Redis may be away.
    ///
    /// # Errors
    /// When a URL is malformed.
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

    /// Signals and rings what follows a commit, beside the answer: whether it succeeds changes nothing, as the row is the truth.
    pub fn announce<T>(&self, committed: Committed<T>) -> T {
        let (value, after) = committed.parts();
        self.tell(after);
        value
    }

    /// The same of several steps of one transaction.
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
