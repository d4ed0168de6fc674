//! One process of the cluster: its boots, its lines to the others, its signals.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kit::{Cluster, Process, Processes, Program, Proxy, Signal};
use tokio::sync::{Mutex, MutexGuard};

use crate::journal::{Journal, What};
use crate::plan::{Far, Who};

/// A stop that takes longer is said, and ended by force.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// Where everything is that a process must know.
pub(crate) struct Site {
    pub(crate) cluster: Cluster<Processes>,
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
    /// Where the last boot serves tenants, and health.
    listens: std::sync::Mutex<(SocketAddr, SocketAddr)>,
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
    process: Process,
}

impl Part {
    pub(crate) async fn new(who: Who, site: Arc<Site>, skew_s: i64) -> anyhow::Result<Self> {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Self {
            redis: Wire::to(site.redis).await?,
            postgres: Wire::to(site.postgres).await?,
            whatsapp: Wire::to(site.whatsapp).await?,
            who,
            site,
            listens: std::sync::Mutex::new((nowhere, nowhere)),
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

    fn listens(&self) -> (SocketAddr, SocketAddr) {
        *self.listens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it serves tenants, if it does.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listens().0)
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        kit::is_ready(&self.who.to_string(), self.program(), self.listens().1).await
    }

    fn program(&self) -> Program {
        match self.who {
            Who::Api(_) => Program::Api,
            Who::Worker(_) => Program::Worker,
            Who::Scheduler(_) => Program::Scheduler,
        }
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
        let cluster = &self.site.cluster;
        let database = cluster.settings.get("DATABASE_URL").unwrap_or_default();
        let database = database.replace(&self.site.postgres.to_string(), &self.postgres.proxy.address().to_string());
        let mut more = vec![
            ("DATABASE_URL", database),
            ("REDIS_URL", format!("redis://{}", self.redis.proxy.address())),
            ("WHATSAPP_URL", format!("ws://{}/ws/chat?{boot}", self.whatsapp.proxy.address())),
            ("WORKER_RELEASE", format!("release-{}", self.release.load(Ordering::Relaxed))),
        ];
        if self.skew_s != 0 {
            more.push(("CLOCK_SKEW_S", self.skew_s.to_string()));
        }
        let more: Vec<_> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let process = cluster.start(self.program(), &self.who.to_string(), &more)?;
        *self.listens.lock().unwrap_or_else(PoisonError::into_inner) = (process.listen, process.ops);
        Ok(Running { boot, process })
    }
}

impl Running {
    /// Sends a signal; a process that has ended meanwhile is no failure.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn kill(mut self, journal: &Journal) {
        self.has_ended(journal);
        let entry = journal.begin(What::Ended { boot: self.boot.clone(), asked: false });
        if let Err(error) = self.process.kill().await {
            journal.say(format_args!("{} could not be killed: {error}", self.boot));
        }
        journal.end(entry);
    }

    /// Asks it to stop, and waits for its end; answers how long that took.
    pub(crate) async fn stop(mut self, journal: &Journal) -> Duration {
        self.has_ended(journal);
        let entry = journal.begin(What::Ended { boot: self.boot.clone(), asked: true });
        let start = std::time::Instant::now();
        match self.process.stop(STOP_LIMIT).await {
            Ok(Some(status)) if !status.success() => journal.say(format_args!("{} ended with {status}", self.boot)),
            Ok(None) => journal.say(format_args!("{} did not stop within {STOP_LIMIT:?}: killed", self.boot)),
            Ok(Some(_)) | Err(_) => {}
        }
        journal.end(entry);
        start.elapsed()
    }

    /// Whether it has ended by itself, which is said and written down: a process waits for what it can't reach.
    pub(crate) fn has_ended(&mut self, journal: &Journal) -> bool {
        let Some(status) = self.process.ended() else { return false };
        journal.say(format_args!("{} ended by itself ({status})", self.boot));
        journal.note(What::Died(format!("{}: {status}", self.boot)));
        true
    }
}
