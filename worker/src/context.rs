//! Everything that a session, a job or the keeper may use.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bells::bus::Bus;
use bells::doorbell::Doorbell;
use bells::lease::Leases;
use bells::limiter::Limiter;
use domain::id::WorkerId;
use store::{PgPool, Store};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::fleet::board::Board;
use crate::fleet::trust::Trust;
use crate::keys::UnknownKey;
use crate::link::Connector;

/// Clients built at the same time by one worker.
const OPENING: usize = 32;

/// One worker's means.
pub struct Context {
    /// This boot of this process.
    pub worker: WorkerId,
    /// The rows.
    pub store: Store,
    /// The rows, for the heartbeat alone: it does not wait behind what sessions ask.
    pub keeping: Store,
    /// The leases in Redis.
    pub leases: Leases,
    /// The bells.
    pub doorbell: Doorbell,
    /// Signals for live streams.
    pub bus: Bus,
    /// Where status changes are written together.
    pub board: Board,
    /// Until when we may act.
    pub trust: Arc<Trust>,
    /// How long an account is held after WhatsApp's reach-out time-lock.
    pub reachout_hold: Duration,
    /// WhatsApp.
    pub connector: Arc<dyn Connector>,
    /// Where a session says that it met a key which this worker was not given.
    pub unknown_key: UnknownKey,
    /// How many clients may be built at the same time.
    pub opening: Arc<Semaphore>,
    /// How fast the cluster may bring accounts back.
    pub limiter: Limiter,
}

impl Context {
    /// What a worker needs, on open pools: one for its rows, one for its heartbeat. Redis may be away.
    ///
    /// # Errors
    /// When a URL is malformed.
    pub fn new(
        config: &Config,
        worker: WorkerId,
        connector: Arc<dyn Connector>,
        [pool, keeping]: [PgPool; 2],
    ) -> anyhow::Result<Self> {
        let [store, keeping] = [pool, keeping].map(Store::from);
        let (url, prefix) = (&config.redis.url, &config.redis.prefix);
        Ok(Self {
            worker,
            leases: Leases::connect(url, prefix, worker, config.lease_ttl()).context("Redis")?,
            doorbell: Doorbell::connect(url, prefix).context("Redis")?,
            bus: Bus::connect(url, prefix).context("Redis")?,
            board: Board::start(store.clone()),
            trust: Arc::new(Trust::new(config.lease_ttl())),
            reachout_hold: config.reachout_hold(),
            connector,
            unknown_key: UnknownKey::default(),
            opening: Arc::new(Semaphore::new(OPENING)),
            limiter: Limiter::connect(url, prefix, config.connects_per_s).context("Redis")?,
            store,
            keeping,
        })
    }
}
