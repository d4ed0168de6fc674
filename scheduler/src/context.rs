//! What every duty has at hand: the rows, the bells and the signals.

use std::sync::Arc;

use anyhow::Context as _;
use bells::bus::Bus;
use bells::doorbell::Doorbell;
use domain::id::TenantId;
use domain::job::{Bell, Rung};
use process::ops::Pulse;
use sqlx::PgPool;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::config::Config;

/// Cheap to clone; every duty gets one.
#[derive(Clone)]
pub struct Context {
    /// This boot of this process.
    pub boot: Uuid,
    /// Its host's name, for people.
    pub name: Arc<str>,
    /// The rows.
    pub db: PgPool,
    /// The bells.
    pub doorbell: Doorbell,
    /// The live signals.
    pub bus: Bus,
    /// A reminder was armed anew: whoever fires looks at once.
    pub armed: Arc<Notify>,
    /// What liveness reads: every duty's round moves it.
    pub pulse: Pulse,
}

impl Context {
    /// What the scheduler needs, on an open pool. Redis may be away.
    ///
    /// # Errors
    /// When a URL is malformed.
    pub fn new(config: &Config, db: PgPool, pulse: Pulse) -> anyhow::Result<Self> {
        Ok(Self {
            boot: Uuid::now_v7(),
            name: process::host::name().into(),
            db,
            doorbell: Doorbell::connect(&config.redis.url, &config.redis.prefix).context("Redis")?,
            bus: Bus::connect(&config.redis.url, &config.redis.prefix).context("Redis")?,
            armed: Arc::default(),
            pulse,
        })
    }

    /// Rings after the rows were committed; answers how many bells were new. When it fails, the rows wait for
    /// `ring_again`.
    pub async fn ring(&self, bells: &[Bell]) -> usize {
        let bells: Vec<_> = bells.iter().map(|bell| (*bell, None)).collect();
        self.ring_traced(&bells).await
    }

    /// As [`Context::ring`], each bell going on with a story.
    pub async fn ring_traced(&self, bells: &[(Bell, Option<String>)]) -> usize {
        match self.doorbell.ring_traced(bells).await {
            Ok(outcomes) => outcomes.iter().filter(|outcome| **outcome == Rung::Rung).count(),
            Err(error) => {
                tracing::warn!(%error, bells = bells.len(), "bells did not ring; the rows wait");
                0
            }
        }
    }

    /// Tells the live streams of these tenants, each once.
    pub fn signal(&self, tenants: impl IntoIterator<Item = TenantId>) {
        let mut tenants: Vec<_> = tenants.into_iter().collect();
        tenants.sort_unstable();
        tenants.dedup();
        for tenant in tenants {
            self.bus.signal(tenant);
        }
    }
}
