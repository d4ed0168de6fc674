//! One part of the cluster: its boots, its connections and its signals.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kit::{Cluster, Process, Processes, Program, Proxy, Signal};
use tokio::sync::{Mutex, MutexGuard};

use crate::journal::{Journal, What};
use crate::plan::{Far, Who};

/// A part that takes longer to stop is reported and killed.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// What every part needs to know.
pub(crate) struct Site {
    pub(crate) cluster: Cluster<Processes>,
    pub(crate) postgres: SocketAddr,
    pub(crate) redis: SocketAddr,
    pub(crate) whatsapp: SocketAddr,
}

/// A part. It is started several times; each process is a *boot*.
pub(crate) struct Part {
    pub(crate) who: Who,
    site: Arc<Site>,
    redis: Wire,
    postgres: Wire,
    whatsapp: Wire,
    /// The addresses of the latest boot: for tenants, and for health checks.
    listens: std::sync::Mutex<(SocketAddr, SocketAddr)>,
    boots: AtomicU32,
    release: AtomicU32,
    /// How many seconds the wall clock of this part is wrong.
    pub(crate) skew_s: i64,
    running: Mutex<Option<Running>>,
}

/// A connection, and a lock that allows one fault at a time on it.
pub(crate) struct Wire {
    pub(crate) proxy: Proxy,
    pub(crate) hand: Mutex<()>,
}

impl Wire {
    async fn to(target: SocketAddr) -> std::io::Result<Self> {
        Ok(Self { proxy: Proxy::start(target).await?, hand: Mutex::default() })
    }
}

/// A running boot.
pub(crate) struct Running {
    /// Its name, for example `worker-1.3`. WhatsApp's audit has it for each of its sockets.
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

    /// The connection to one of the servers.
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

    /// The URL for tenants, if it is an api.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listens().0)
    }

    /// Waits until it reports that it is ready.
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

    /// Sets the release of later boots.
    pub(crate) fn set_release(&self, release: u32) {
        self.release.store(release, Ordering::Relaxed);
    }

    /// Locks the part, so that no other task acts on it.
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
            ("WORKER_NAME", self.who.to_string()),
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
    /// Sends a signal. Does nothing if the process has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Kills it and waits for its end.
    pub(crate) async fn kill(mut self, journal: &Journal) {
        self.has_ended(journal);
        let entry = journal.begin(What::Ended { boot: self.boot.clone(), asked: false });
        if let Err(error) = self.process.kill().await {
            journal.say(format_args!("{} could not be killed: {error}", self.boot));
        }
        journal.end(entry);
    }

    /// Asks it to stop and waits for its end. Returns how long that took.
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

    /// Whether it has ended by itself, which is reported and recorded. No process should do that: a part waits for
    /// servers that it can't reach.
    pub(crate) fn has_ended(&mut self, journal: &Journal) -> bool {
        let Some(status) = self.process.ended() else { return false };
        journal.say(format_args!("{} ended by itself ({status})", self.boot));
        journal.note(What::Died(format!("{}: {status}", self.boot)));
        true
    }
}
