//! The cluster of a campaign: servers, simulator, and every part as a process of its own, whose connections can be cut.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kit::witness::Witness;
use kit::{Phones, Process, Processes, Program, RedisServer, Settings};
use serde_json::json;
use tokio::sync::Mutex;

use crate::http::Gateway;
use crate::journal::Journal;
use crate::part::{Part, Site};
use crate::plan::{APIS, SCHEDULERS, WORKERS, Who};
use crate::postgres::Postgres;

/// The settings of the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) root: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) bin: PathBuf,
    pub(crate) workers: usize,
    /// The number of workers that are started at once. The others are started later by the caller.
    pub(crate) booted: usize,
    pub(crate) lease_ttl_ms: u64,
    /// How many seconds the wall clock of the second worker is wrong.
    pub(crate) skew_s: i64,
}

pub(crate) struct Cluster {
    pub(crate) journal: Arc<Journal>,
    pub(crate) parts: Vec<Arc<Part>>,
    pub(crate) gateway: Gateway,
    pub(crate) phones: Phones,
    pub(crate) witness: Witness,
    pub(crate) postgres: Postgres,
    pub(crate) redis: Mutex<RedisServer>,
    pub(crate) releases: std::sync::atomic::AtomicU32,
    _simulator: Process,
}

impl Cluster {
    pub(crate) async fn start(setup: &Setup) -> anyhow::Result<Arc<Self>> {
        let journal = Arc::new(Journal::new());
        let logs = setup.data.join("logs");
        let _ = std::fs::remove_dir_all(&logs); // logs of an earlier run, if there was one
        std::fs::create_dir_all(&logs)?;
        let postgres = Postgres::start(setup.root.clone(), setup.data.clone()).await?;
        let (database, postgres_at) = postgres.address()?;
        let redis = RedisServer::start();
        let redis_at = redis.url().trim_start_matches("redis://").parse().context("Redis' address")?;
        let starter = Processes { logs: Some(logs), ..Processes::of(&setup.bin) };
        let cluster = kit::Cluster { starter, settings: settings(setup.lease_ttl_ms, &database) };
        let simulator = cluster.start(Program::Simulator, "simulator", &[])?;
        simulator.ready().await?;
        cluster.command(&["migrate"]).await?;
        let witness = Witness::open(&database)?;
        witness.install().await?;
        let admin = cluster.command(&["keys", "create", "--admin", "--name", "campaign"]).await?;

        let phones = Phones::new(&format!("{}/admin", simulator.url()));
        let site = Arc::new(Site { cluster, postgres: postgres_at, redis: redis_at, whatsapp: simulator.listen });
        let mut parts = Vec::new();
        let all = (0..APIS)
            .map(Who::Api)
            .chain((0..setup.workers).map(Who::Worker))
            .chain((0..SCHEDULERS).map(Who::Scheduler));
        for who in all {
            let skew = if who == Who::Worker(1) { setup.skew_s } else { 0 };
            let part = Arc::new(Part::new(who, Arc::clone(&site), skew).await?);
            if !matches!(who, Who::Worker(n) if n >= setup.booted) {
                *part.take().await = Some(part.boot()?);
            }
            parts.push(part);
        }
        let apis: Vec<_> = parts.iter().filter(|part| matches!(part.who, Who::Api(_))).cloned().collect();
        let gateway = Gateway::new(apis, &admin);
        for part in &parts {
            if part.take().await.is_some() {
                part.ready().await?;
            }
        }
        let gateway = tenant(&gateway).await?;
        Ok(Arc::new(Self {
            journal,
            parts,
            gateway,
            phones,
            witness,
            postgres,
            redis: Mutex::new(redis),
            releases: std::sync::atomic::AtomicU32::new(1),
            _simulator: simulator,
        }))
    }

    pub(crate) fn part(&self, who: Who) -> anyhow::Result<&Arc<Part>> {
        self.parts.iter().find(|part| part.who == who).with_context(|| format!("there is no {who}"))
    }

    /// The workers, in order.
    pub(crate) fn workers(&self) -> impl Iterator<Item = &Arc<Part>> {
        (0..WORKERS.max(self.parts.len())).filter_map(|n| self.parts.iter().find(|part| part.who == Who::Worker(n)))
    }

    /// Restarts processes that ended by themselves, as an orchestrator does. Runs until the future is dropped.
    pub(crate) async fn mind(self: Arc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            for part in &self.parts {
                let Ok(mut running) = tokio::time::timeout(Duration::from_millis(10), part.take()).await else {
                    continue;
                };
                if running.as_mut().is_some_and(|running| running.has_ended(&self.journal)) {
                    match part.boot() {
                        Ok(next) => *running = Some(next),
                        Err(error) => self.journal.say(format_args!("it does not start: {error:#}")),
                    }
                }
            }
        }
    }

    /// Stops everything, in order.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        for part in &self.parts {
            if let Some(running) = part.take().await.take() {
                running.stop(&self.journal).await;
            }
        }
        self.postgres.stop().await
    }
}

/// The settings of every part.
fn settings(lease_ttl_ms: u64, database: &str) -> Settings {
    let level = std::env::var_os("RUST_LOG").map(|level| level.to_string_lossy().into_owned());
    Settings::simulated().with(&[
        ("DATABASE_URL", database),
        ("LEASE_TTL_MS", &lease_ttl_ms.to_string()),
        ("DATABASE_CONNECTIONS", "8"),
        ("REACHOUT_HOLD_S", "4"),
        ("RING_AGAIN_S", "2"),
        ("RUST_LOG", &level.unwrap_or_else(|| "info".to_owned())),
    ])
}

async fn tenant(admin: &Gateway) -> anyhow::Result<Gateway> {
    let limit = Duration::from_secs(30);
    let tenant = admin.demand(reqwest::Method::POST, "/v1/tenants", Some(&json!({"name": "Campaign"})), limit).await?;
    let path = format!("/v1/tenants/{}/keys", tenant["id"].as_str().unwrap_or_default());
    let key = admin.demand(reqwest::Method::POST, &path, Some(&json!({"name": "campaign"})), limit).await?;
    Ok(admin.with_key(key["secret"].as_str().context("a key without a secret")?))
}
