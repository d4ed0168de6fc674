//! The whole house on one machine: private servers, simulator, api, workers, scheduler.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};

use crate::children::Children;
use crate::http::Http;
use crate::place::{Place, free_port};
use crate::servers::{self, Servers};
use crate::show::{detail, step, until};

/// Every process answers its readiness check within this time.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// Any version will do for the simulator; asking WhatsApp for the current one would need the Internet.
const SIMULATED_VERSION: &str = "2.3000.1023223821";

/// What runs, and how to end it.
pub(crate) struct Cluster {
    pub(crate) place: Place,
    pub(crate) children: Children,
    /// What was to be shown has been shown; from here on an interruption is the normal end.
    pub(crate) finished: bool,
    workers: u16,
    simulated: bool,
    servers_are_ours: bool,
    addresses: Option<Addresses>,
}

/// Where everything listens, and the key that manages tenants.
#[derive(Clone)]
pub(crate) struct Addresses {
    pub(crate) place: Place,
    pub(crate) servers: Servers,
    pub(crate) api: String,
    pub(crate) admin_key: String,
    pub(crate) simulator: String,
    pub(crate) whatsapp: String,
    /// Name and address of each process that serves health and metrics on a port of its own.
    pub(crate) ops: Vec<(String, String)>,
}

impl Cluster {
    pub(crate) fn new(place: Place, workers: u16, simulated: bool) -> Self {
        Self {
            place,
            children: Children::default(),
            finished: false,
            workers,
            simulated,
            servers_are_ours: false,
            addresses: None,
        }
    }

    /// Starts everything and waits until it is ready. `supervised`: this process stays and ends the others.
    pub(crate) async fn start(&mut self, supervised: bool) -> anyhow::Result<()> {
        let place = self.place.clone();
        let running = servers::are_running(&place).await?;
        self.servers_are_ours = !running;
        let servers = step("Postgres and Redis, private ones for this checkout", servers::up(&place)).await?;

        let common = vec![("DATABASE_URL", servers.database_url.clone()), ("REDIS_URL", servers.redis_url.clone())];
        step("The tables", api_command(&place, &common, &["migrate"])).await?;

        let mut at = Addresses {
            place: place.clone(),
            servers,
            api: String::new(),
            admin_key: String::new(),
            simulator: String::new(),
            whatsapp: String::new(),
            ops: Vec::new(),
        };
        let start = step(self.what_starts(), async {
            self.start_processes(&common, &mut at)?;
            self.wait_until_ready(&at).await
        });
        start.await?;
        at.admin_key = step("A key that may create tenants", admin_key(&at, &common)).await?;
        self.children.write_pids(&place, supervised)?;
        self.addresses = Some(at);
        Ok(())
    }

    fn what_starts(&self) -> &'static str {
        if self.simulated {
            "The simulated WhatsApp, the api, the workers and the scheduler"
        } else {
            "The api, the workers and the scheduler"
        }
    }

    fn start_processes(&mut self, common: &[(&str, String)], at: &mut Addresses) -> anyhow::Result<()> {
        let place = &self.place;
        let mut envs = common.to_vec();
        if self.simulated {
            let listen = format!("127.0.0.1:{}", free_port(8090)?);
            at.simulator = format!("http://{listen}");
            at.whatsapp = format!("ws://{listen}/ws/chat");
            envs.push(("WHATSAPP_URL", at.whatsapp.clone()));
            envs.push(("WHATSAPP_VERSION", SIMULATED_VERSION.to_owned()));
            let world = place.data.join("simulator.world").display().to_string();
            self.children.start(
                place,
                "simulator",
                "switchboard-simulator",
                &[("SIMULATOR_LISTEN", listen), ("SIMULATOR_WORLD", world)],
            )?;
        }

        let listen = format!("127.0.0.1:{}", free_port(8080)?);
        at.api = format!("http://{listen}");
        envs.push(("API_LISTEN", listen));

        let api = ("api".to_owned(), "switchboard-api");
        let workers = (1..=self.workers).map(|n| (format!("worker-{n}"), "switchboard-worker"));
        let scheduler = ("scheduler".to_owned(), "switchboard-scheduler");
        for (name, program) in std::iter::once(api).chain(workers).chain([scheduler]) {
            let listen = format!("127.0.0.1:{}", free_port(0)?);
            let mut envs = envs.clone();
            envs.push(("OPS_LISTEN", listen.clone()));
            if program == "switchboard-worker" {
                envs.push(("CREDENTIAL_KEYS", place.credential_keys()?)); // nobody else opens credentials
            }
            self.children.start(place, &name, program, &envs)?;
            at.ops.push((name, format!("http://{listen}")));
        }
        Ok(())
    }

    async fn wait_until_ready(&mut self, at: &Addresses) -> anyhow::Result<()> {
        let mut questions: Vec<_> = at.ops.iter().map(|(name, base)| (name.clone(), base.clone(), "/readyz")).collect();
        if self.simulated {
            questions.push(("simulator".to_owned(), at.simulator.clone(), "/admin/health"));
        }
        for (name, base, path) in questions {
            let http = Http::new(&base, None)?;
            let wanted = format!("{name} to be ready");
            let ready = until(&wanted, READY_LIMIT, || async { Ok(http.is_ok(path).await) });
            tokio::select! {
                ready = ready => ready?,
                died = self.one_died() => return Err(died),
            }
        }
        Ok(())
    }

    pub(crate) fn addresses(&self) -> anyhow::Result<Addresses> {
        self.addresses.clone().context("not started")
    }

    /// Returns as soon as a process has ended by itself.
    pub(crate) async fn one_died(&mut self) -> anyhow::Error {
        loop {
            if let Some((name, status)) = self.children.dead() {
                return anyhow!("{name} ended by itself ({status})");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The last lines of the logs that a failure most likely stands in.
    pub(crate) fn tell_why(&mut self) {
        let dead = self.children.dead().map(|(name, _)| name);
        let names = self.children.names();
        for name in names.iter().filter(|name| dead.as_deref().is_none_or(|dead| dead == **name)) {
            let path = self.place.log(name);
            let text = std::fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            println!("\nThe end of {}:", path.display());
            detail(&lines[lines.len().saturating_sub(15)..].join("\n"));
        }
    }

    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        self.children.stop().await;
        if self.servers_are_ours {
            servers::down(&self.place).await?;
        }
        // Without the file nothing is running; if it was never written that is just as true.
        let _ = std::fs::remove_file(self.place.pids());
        println!("Everything is stopped ({:.1} s).", start.elapsed().as_secs_f32());
        Ok(())
    }
}

/// The key of this data directory: made once, kept in a file that only its owner can read.
async fn admin_key(at: &Addresses, envs: &[(&str, String)]) -> anyhow::Result<String> {
    if let Some(key) = at.place.remembered("admin.key")
        && Http::new(&at.api, Some(&key))?.is_ok("/v1/tenants").await.is_ok()
    {
        return Ok(key);
    }
    let key = api_command(&at.place, envs, &["keys", "create", "--admin", "--name", "this machine"]).await?;
    at.place.remember("admin.key", &key)?;
    Ok(key)
}

/// Runs a command of the api's program to its end and returns what it printed.
async fn api_command(place: &Place, envs: &[(&str, String)], args: &[&str]) -> anyhow::Result<String> {
    let mut command = tokio::process::Command::new(place.bin.join("switchboard-api"));
    command.args(args).envs(envs.iter().map(|(name, value)| (name, value)));
    let done = command.stdin(std::process::Stdio::null()).kill_on_drop(true).output().await?;
    if !done.status.success() {
        bail!("switchboard-api {}: {}", args.join(" "), String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}
