//! One process of the cluster: its boots, its lines to the others, its signals.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use kit::Proxy;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};

use crate::journal::{Journal, What};
use crate::plan::{Far, Who};

/// A stop that takes longer is said, and ended by force.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// Where everything is that a process must know.
pub(crate) struct Site {
    pub(crate) bin: PathBuf,
    pub(crate) logs: PathBuf,
    /// Variables of every process, but for those that name a line.
    pub(crate) envs: Vec<(&'static str, String)>,
    pub(crate) database: String,
    pub(crate) postgres: SocketAddr,
    pub(crate) redis: SocketAddr,
    pub(crate) whatsapp: SocketAddr,
}

/// A process, whichever boot of it runs.
pub(crate) struct Part {
    pub(crate) who: Who,
    site: Arc<Site>,
    redis: Wire,
    postgres: Wire,
    whatsapp: Wire,
    port: AtomicU64,
    ops_port: AtomicU64,
    boots: AtomicU32,
    release: AtomicU32,
    /// Seconds by which the wall clock of this process is wrong.
    pub(crate) skew_s: i64,
    running: Mutex<Option<Running>>,
}

/// A line, and the right to harm it: one fault at a time.
pub(crate) struct Wire {
    pub(crate) proxy: Proxy,
    pub(crate) hand: Mutex<()>,
}

impl Wire {
    async fn to(target: SocketAddr) -> std::io::Result<Self> {
        Ok(Self { proxy: Proxy::start(target).await?, hand: Mutex::default() })
    }
}

/// A boot that runs.
pub(crate) struct Running {
    /// Such as `worker-1.3`; WhatsApp's audit knows its sockets by it.
    pub(crate) boot: String,
    child: Child,
}

impl Part {
    pub(crate) async fn new(who: Who, site: Arc<Site>, skew_s: i64) -> anyhow::Result<Self> {
        Ok(Self {
            redis: Wire::to(site.redis).await?,
            postgres: Wire::to(site.postgres).await?,
            whatsapp: Wire::to(site.whatsapp).await?,
            who,
            site,
            port: AtomicU64::new(0),
            ops_port: AtomicU64::new(0),
            boots: AtomicU32::new(0),
            release: AtomicU32::new(1),
            skew_s,
            running: Mutex::new(None),
        })
    }

    /// The line to one of the others.
    pub(crate) fn line(&self, far: Far) -> &Wire {
        match far {
            Far::Redis => &self.redis,
            Far::Postgres => &self.postgres,
            Far::WhatsApp => &self.whatsapp,
        }
    }

    /// Where it serves tenants, if it does.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.load(Ordering::Relaxed))
    }

    /// Where it serves health and metrics.
    pub(crate) fn ops_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ops_port.load(Ordering::Relaxed))
    }

    /// From now on boots are of this release.
    pub(crate) fn set_release(&self, release: u32) {
        self.release.store(release, Ordering::Relaxed);
    }

    /// Takes the process in hand: nobody else does anything to it meanwhile.
    pub(crate) async fn take(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().await
    }

    /// Starts a boot.
    pub(crate) fn boot(&self) -> anyhow::Result<Running> {
        let boot = format!("{}.{}", self.who, self.boots.fetch_add(1, Ordering::Relaxed) + 1);
        let (listen, ops_listen) = (free_port(), free_port());
        self.port.store(u64::from(listen.port()), Ordering::Relaxed);
        self.ops_port.store(u64::from(ops_listen.port()), Ordering::Relaxed);
        let program = match self.who {
            Who::Api(_) => "switchboard-api",
            Who::Worker(_) => "switchboard-worker",
            Who::Scheduler(_) => "switchboard-scheduler",
        };
        let log =
            OpenOptions::new().create(true).append(true).open(self.site.logs.join(format!("{}.log", self.who)))?;
        let path = self.site.bin.join(program);
        let database =
            self.site.database.replace(&self.site.postgres.to_string(), &self.postgres.proxy.address().to_string());
        let mut command = Command::new(&path);
        command
            .envs(self.site.envs.iter().map(|(name, value)| (name, value)))
            .env("DATABASE_URL", database)
            .env("REDIS_URL", format!("redis://{}", self.redis.proxy.address()))
            .env("WHATSAPP_URL", format!("ws://{}/ws/chat?{boot}", self.whatsapp.proxy.address()))
            .env("WORKER_RELEASE", format!("release-{}", self.release.load(Ordering::Relaxed)))
            .env("API_LISTEN", listen.to_string())
            .env("OPS_LISTEN", ops_listen.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        if self.skew_s != 0 {
            command.env("CLOCK_SKEW_S", self.skew_s.to_string());
        }
        let child = command.spawn().with_context(|| format!("starting {}", path.display()))?;
        Ok(Running { boot, child })
    }
}

impl Running {
    /// Sends a signal; a process that has ended meanwhile is no failure.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw)
            && let Err(error) = kill_process(pid, signal)
        {
            println!("{}: {error}", self.boot);
        }
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn kill(mut self, journal: &Journal) {
        self.has_ended(journal);
        let entry = journal.begin(What::Ended { boot: self.boot.clone(), asked: false });
        if let Err(error) = self.child.kill().await {
            journal.say(format_args!("{} could not be killed: {error}", self.boot));
        }
        journal.end(entry);
    }

    /// Asks it to stop, and waits for its end; answers how long that took.
    pub(crate) async fn stop(mut self, journal: &Journal) -> Duration {
        self.has_ended(journal);
        let entry = journal.begin(What::Ended { boot: self.boot.clone(), asked: true });
        let start = std::time::Instant::now();
        self.signal(Signal::TERM);
        match tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(Ok(status)) if !status.success() => journal.say(format_args!("{} ended with {status}", self.boot)),
            Ok(_) => {}
            Err(_) => {
                journal.say(format_args!("{} did not stop within {STOP_LIMIT:?}: killed", self.boot));
                // whether it is killed or ended just now is the same
                let _ = self.child.kill().await;
            }
        }
        journal.end(entry);
        start.elapsed()
    }

    /// Whether it has ended by itself, which is said and written down: a process waits for what it can't reach.
    pub(crate) fn has_ended(&mut self, journal: &Journal) -> bool {
        let Ok(Some(status)) = self.child.try_wait() else { return false };
        journal.say(format_args!("{} ended by itself ({status})", self.boot));
        journal.note(What::Died(format!("{}: {status}", self.boot)));
        true
    }
}

/// A free port of the loopback interface.
pub(crate) fn free_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, kit::free_port()).into()
}
