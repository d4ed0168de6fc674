//! The whole house of a campaign: servers, simulator, and every part as a process of its own behind lines that can be cut.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kit::RedisServer;
use kit::witness::Witness;
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::http::{Gateway, Phones};
use crate::journal::Journal;
use crate::part::{Part, Site, free_port};
use crate::plan::{APIS, SCHEDULERS, WORKERS, Who};
use crate::postgres::Postgres;

/// Every process answers its readiness check within this time.
const READY: Duration = Duration::from_secs(60);

/// What the cluster is made of.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) root: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) bin: PathBuf,
    pub(crate) workers: usize,
    /// Workers that are started at once; the others are started by whoever wants them.
    pub(crate) booted: usize,
    pub(crate) lease_ttl_ms: u64,
    /// Seconds by which the wall clock of the second worker is wrong.
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
    _simulator: Child,
}

impl Cluster {
    pub(crate) async fn start(setup: &Setup) -> anyhow::Result<Arc<Self>> {
        let journal = Arc::new(Journal::new());
        let logs = setup.data.join("logs");
        let _ = std::fs::remove_dir_all(&logs); // of an earlier run, if there was one
        std::fs::create_dir_all(&logs)?;
        let postgres = Postgres::start(setup.root.clone(), setup.data.clone()).await?;
        let (database, postgres_at) = postgres.address()?;
        let redis = RedisServer::start();
        let redis_at = redis.url().trim_start_matches("redis://").parse().context("Redis' address")?;
        let (simulator, whatsapp) = simulator(&setup.bin, &logs).await?;
        command(&setup.bin, &database, &["migrate"]).await?;
        let witness = Witness::open(&database)?;
        witness.install().await?;
        let admin = command(&setup.bin, &database, &["keys", "create", "--admin", "--name", "campaign"]).await?;

        let site = Arc::new(Site {
            bin: setup.bin.clone(),
            logs,
            envs: envs(setup.lease_ttl_ms),
            database,
            postgres: postgres_at,
            redis: redis_at,
            whatsapp,
        });
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
        let phones = Phones::new(&format!("http://{whatsapp}/admin"))?;
        let gateway = Gateway::new(apis, &admin)?;
        for part in &parts {
            if part.take().await.is_some() {
                ready(part).await?;
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

    /// What an orchestrator does: a process that has ended by itself is started again. Until dropped.
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

/// Waits until a part answers that it is ready.
pub(crate) async fn ready(part: &Part) -> anyhow::Result<()> {
    let start = Instant::now();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).no_proxy().build()?;
    loop {
        let answer = http.get(format!("{}/readyz", part.ops_url())).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if start.elapsed() > READY {
            bail!("{} was not ready within {READY:?}", part.who);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn envs(lease_ttl_ms: u64) -> Vec<(&'static str, String)> {
    vec![
        ("CREDENTIAL_KEYS", "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned()),
        ("WHATSAPP_VERSION", "2.3000.1023223821".to_owned()),
        ("LEASE_TTL_MS", lease_ttl_ms.to_string()),
        ("DATABASE_CONNECTIONS", "8".to_owned()),
        ("PRE_KEYS", "20".to_owned()),
        ("REACHOUT_HOLD_S", "4".to_owned()),
        ("RING_AGAIN_S", "2".to_owned()),
        (
            "RUST_LOG",
            std::env::var_os("RUST_LOG")
                .map_or_else(|| "info".to_owned(), |level| level.to_string_lossy().into_owned()),
        ),
    ]
}

async fn simulator(bin: &Path, logs: &Path) -> anyhow::Result<(Child, std::net::SocketAddr)> {
    let listen = free_port();
    let log = std::fs::File::create(logs.join("simulator.log"))?;
    let child = Command::new(bin.join("switchboard-simulator"))
        .env("SIMULATOR_LISTEN", listen.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("starting the simulator")?;
    let start = Instant::now();
    while reqwest::get(format!("http://{listen}/admin/health")).await.is_err() {
        if start.elapsed() > READY {
            bail!("the simulator does not listen");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok((child, listen))
}

/// Runs a command of the api to its end, and answers what it printed.
async fn command(bin: &Path, database: &str, args: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(bin.join("switchboard-api"));
    command.args(args).env("DATABASE_URL", database).stdin(Stdio::null()).kill_on_drop(true);
    let done = command.output().await?;
    if !done.status.success() {
        bail!("switchboard-api {}: {}", args.join(" "), String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}

async fn tenant(admin: &Gateway) -> anyhow::Result<Gateway> {
    let limit = Duration::from_secs(30);
    let tenant = admin.demand(reqwest::Method::POST, "/v1/tenants", Some(&json!({"name": "Campaign"})), limit).await?;
    let path = format!("/v1/tenants/{}/keys", tenant["id"].as_str().unwrap_or_default());
    let key = admin.demand(reqwest::Method::POST, &path, Some(&json!({"name": "campaign"})), limit).await?;
    Ok(admin.with_key(key["secret"].as_str().context("a key without a secret")?))
}
