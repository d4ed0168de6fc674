//! Parts of a cluster as processes.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::cluster::{Cluster, Program, Settings, Starter};
use crate::http::Http;
use crate::port::free_port;
use crate::wait::reach;

/// How long a process may take to become ready.
const READY: Duration = Duration::from_secs(60);
/// The limit of one try. A process that is frozen or cut off does not answer.
const TRY: Duration = Duration::from_secs(2);

/// Starts parts as processes.
#[derive(Debug, Clone)]
pub struct Processes {
    /// The folder of the binaries.
    pub bin: PathBuf,
    /// The folder of their logs. Without one no logs are kept.
    pub logs: Option<PathBuf>,
    /// Whether the processes go on after their [`Process`] is dropped, in a process group of their own. Otherwise they
    /// are killed then.
    pub outlive: bool,
}

/// A part that runs as a process.
#[derive(Debug)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// The path of its binary.
    pub path: PathBuf,
    /// The address for its users: tenants, or phones.
    pub listen: SocketAddr,
    /// The address of its health checks and metrics.
    pub ops: SocketAddr,
    /// The program that it runs.
    pub program: Program,
    child: Child,
}

impl Processes {
    /// Processes from the binaries of this folder.
    #[must_use]
    pub fn of(bin: &Path) -> Self {
        Self { bin: bin.to_owned(), logs: None, outlive: false }
    }
}

impl Cluster<Processes> {
    /// Runs a command of the api's binary to its end, and returns what it printed.
    ///
    /// # Errors
    /// If it fails. The error has what the command wrote to stderr.
    pub async fn command(&self, args: &[&str]) -> anyhow::Result<String> {
        let path = self.starter.bin.join(Program::Api.name());
        let mut command = Command::new(&path);
        command.args(args).envs(self.settings.iter()).stdin(Stdio::null()).kill_on_drop(true);
        let done = command.output().await.with_context(|| format!("running {}", path.display()))?;
        if !done.status.success() {
            bail!("{} {}: {}", path.display(), args.join(" "), String::from_utf8_lossy(&done.stderr));
        }
        Ok(String::from_utf8(done.stdout)?.trim().to_owned())
    }
}

impl Starter for Processes {
    type Part = Process;

    fn start(&self, program: Program, name: &str, settings: &Settings) -> anyhow::Result<Process> {
        Process::start(program, self.bin.join(program.name()), name, settings, self)
    }
}

impl Process {
    /// Starts a part from this binary, which may have any name.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(
        program: Program,
        path: PathBuf,
        name: &str,
        settings: &Settings,
        how: &Processes,
    ) -> anyhow::Result<Self> {
        let (serves, health) = match program {
            Program::Simulator => ("SIMULATOR_LISTEN", "SIMULATOR_LISTEN"),
            _ => ("API_LISTEN", "OPS_LISTEN"),
        };
        let mut settings = settings.clone();
        let mut listens = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 2];
        for (listen, variable) in listens.iter_mut().zip([serves, health]) {
            if settings.get(variable).is_none() {
                settings.set(variable, format!("127.0.0.1:{}", free_port()));
            }
            let given = settings.get(variable).unwrap_or_default();
            *listen = given.parse().with_context(|| format!("{variable}: {given}"))?;
        }
        if program == Program::Worker && settings.get("WORKER_NAME").is_none() {
            settings.set("WORKER_NAME", format!("{name}-{}", listens[0].port())); // many are on one host
        }
        let mut command = Command::new(&path);
        command.envs(settings.iter()).stdin(Stdio::null()).kill_on_drop(!how.outlive);
        if how.outlive {
            command.process_group(0); // so that Ctrl-C in a terminal does not reach it
        }
        match &how.logs {
            Some(logs) => {
                let log = logs.join(format!("{name}.log"));
                let file = OpenOptions::new().create(true).append(true).open(&log);
                let file = file.with_context(|| format!("opening {}", log.display()))?;
                command.stdout(file.try_clone()?).stderr(file);
            }
            None => {
                command.stdout(Stdio::null());
            }
        }
        let child = command.spawn().with_context(|| format!("starting {}", path.display()))?;
        Ok(Self { name: name.to_owned(), path, listen: listens[0], ops: listens[1], program, child })
    }

    /// The URL for its users.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// The URL of its health checks and metrics.
    #[must_use]
    pub fn ops_url(&self) -> String {
        format!("http://{}", self.ops)
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it reports that it is ready.
    ///
    /// # Errors
    /// If it is not ready within a minute.
    pub async fn ready(&self) -> anyhow::Result<()> {
        is_ready(&self.name, self.program, self.ops).await
    }

    /// Sends a signal. Does nothing if the process has ended.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end. Returns its exit status, or `None` if it did not end within `limit`.
    ///
    /// # Errors
    /// If the status can't be read.
    pub async fn end(&mut self, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
        Ok(tokio::time::timeout(limit, self.child.wait()).await.ok().transpose()?)
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Errors
    /// If that can't be done.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to stop, and waits for its end. Returns its exit status, or `None` if it did not end within `limit` and
    /// was killed.
    ///
    /// # Errors
    /// If the status can't be read.
    pub async fn stop(&mut self, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
        self.signal(Signal::TERM);
        let ended = self.end(limit).await?;
        if ended.is_none() {
            let _ = self.child.kill().await; // fails only if the process has just ended
        }
        Ok(ended)
    }
}

/// Waits until a part reports that it is ready, at its health address.
///
/// # Errors
/// If it is not ready within a minute.
pub async fn is_ready(name: &str, program: Program, ops: SocketAddr) -> anyhow::Result<()> {
    let path = if program == Program::Simulator { "/admin/health" } else { "/readyz" };
    let http = Http::new(&format!("http://{ops}"), None);
    let asked = || async {
        let answer = tokio::time::timeout(TRY, http.is_ok(path)).await;
        Ok(answer.unwrap_or_else(|_| Err("no answer in time".to_owned())))
    };
    reach(format!("{name} to be ready"), READY, asked).await
}
