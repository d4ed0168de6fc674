//! The shared resources of all duties: the rows, the bells and the signals.

use std::sync::Arc;

use anyhow::Context as _;
use bells::announce;
use bells::bus::Bus;
use bells::doorbell::Doorbell;
use domain::committed::Committed;
use domain::job::{Bell, Rung};
use process::ops::Pulse;
use store::Store;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::config::Config;

/// The shared resources of a duty. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The id of this boot of this process.
    pub boot: Uuid,
    /// Its host's name, for people.
    pub name: Arc<str>,
    /// The rows.
    pub store: Store,
    /// The bells.
    pub doorbell: Doorbell,
    /// The live signals.
    pub bus: Bus,
    /// Notified when a reminder was armed, so that the duty that fires reminders looks at once.
    pub armed: Arc<Notify>,
    /// The liveness signal. Each round of a duty moves it.
    pub pulse: Pulse,
}

impl Context {
    /// Builds the resources of a scheduler on an open pool. Redis may be unreachable.
    ///
    /// # Errors
    /// If a URL is malformed.
    pub fn new(config: &Config, store: Store, pulse: Pulse) -> anyhow::Result<Self> {
        Ok(Self {
            boot: Uuid::now_v7(),
            name: process::host::name().into(),
            store,
            doorbell: Doorbell::connect(&config.redis.url, &config.redis.prefix).context("Redis")?,
            bus: Bus::connect(&config.redis.url, &config.redis.prefix).context("Redis")?,
            armed: Arc::default(),
            pulse,
        })
    }

    /// Rings for rows that wait. Returns how many bells were new. If it fails, the rows wait for the next round.
    pub async fn ring(&self, bells: &[Bell]) -> usize {
        match self.doorbell.ring_many(bells).await {
            Ok(outcomes) => outcomes.iter().filter(|outcome| **outcome == Rung::Rung).count(),
            Err(error) => {
                tracing::warn!(%error, bells = bells.len(), "bells did not ring; the rows wait");
                0
            }
        }
    }

    /// Sends the signals and rings the bells that follow a commit.
    pub async fn announce<T>(&self, committed: Committed<T>) -> T {
        announce::announce(&self.bus, &self.doorbell, committed).await
    }
}
