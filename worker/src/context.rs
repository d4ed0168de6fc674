//! The shared resources of sessions, jobs and the keeper.

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
use crate::fleet::trust::Trust;
use crate::keys::UnknownKey;
use crate::link::Connector;

/// How many clients one worker may build at the same time.
const OPENING: usize = 32;

/// The shared resources of one worker.
pub struct Context {
    /// This boot of this process.
    pub worker: WorkerId,
    /// The connection pool for all rows except the heartbeat.
    pub store: Store,
    /// The connection pool for the heartbeat alone, so that it never waits behind the queries of sessions.
    pub keeping: Store,
    /// The leases in Redis.
    pub leases: Leases,
    /// The bells.
    pub doorbell: Doorbell,
    /// Signals for live streams.
    pub bus: Bus,
    /// Until when this worker may act.
    pub trust: Arc<Trust>,
    /// How long an account sends nothing after WhatsApp's reach-out time-lock.
    pub reachout_hold: Duration,
    /// Opens connections to WhatsApp.
    pub connector: Arc<dyn Connector>,
    /// Where a session reports a credential key that this worker does not have.
    pub unknown_key: UnknownKey,
    /// How many clients may be built at the same time.
    pub opening: Arc<Semaphore>,
    /// Limits how fast the cluster brings accounts back online.
    pub limiter: Limiter,
}

impl Context {
    /// Builds the resources of a worker on two open pools: one for its rows, one for its heartbeat. `former`: its
    /// earlier boots, which are dead. Redis may be unreachable.
    ///
    /// # Errors
    /// If a URL is malformed.
    pub fn new(
        config: &Config,
        worker: WorkerId,
        former: Vec<WorkerId>,
        connector: Arc<dyn Connector>,
        [pool, keeping]: [PgPool; 2],
    ) -> anyhow::Result<Self> {
        let sessions = config.connections().sessions;
        let sessions = store::connect_impatiently(&config.database.url, sessions).context("DATABASE_URL")?;
        let (store, keeping) = (Store::from(pool).writing_together_on(sessions), Store::from(keeping));
        let (url, prefix) = (&config.redis.url, &config.redis.prefix);
        Ok(Self {
            worker,
            leases: Leases::connect(url, prefix, worker, config.lease_ttl()).context("Redis")?.after(former),
            doorbell: Doorbell::connect(url, prefix).context("Redis")?,
            bus: Bus::connect(url, prefix).context("Redis")?,
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
