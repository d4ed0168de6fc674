//! A whole cluster on one machine: private servers, simulator, api, workers, scheduler.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use kit::http::Http;
use kit::{Processes, Program, Settings, WHATSAPP_VERSION};

use crate::children::Children;
use crate::place::{Place, listen};
use crate::servers::{self, Servers};
use crate::show::{detail, step};

/// The running cluster, and how to end it.
pub(crate) struct Cluster {
    pub(crate) place: Place,
    pub(crate) children: Children,
    /// Whether the demo is over. An interruption is the normal end from then on.
    pub(crate) finished: bool,
    workers: u16,
    simulated: bool,
    servers_are_ours: bool,
    addresses: Option<Addresses>,
}

/// All addresses, and the admin key.
#[derive(Clone)]
pub(crate) struct Addresses {
    pub(crate) place: Place,
    pub(crate) servers: Servers,
    pub(crate) api: String,
    pub(crate) admin_key: String,
    pub(crate) simulator: String,
    pub(crate) whatsapp: String,
    /// The name and address of each process that serves health and metrics on a port of its own.
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

    /// Starts everything and waits until it is ready. With `supervised`, this process stays and ends the others.
    pub(crate) async fn start(&mut self, supervised: bool) -> anyhow::Result<()> {
        let place = self.place.clone();
        let running = servers::are_running(&place).await?;
        self.servers_are_ours = !running;
        let servers = step("Postgres and Redis, private ones for this checkout", servers::up(&place)).await?;

        let logs = Some(place.data.join("logs"));
        let starter = Processes { logs, outlive: true, ..Processes::of(&place.bin) };
        let stores = [("DATABASE_URL", &*servers.database_url), ("REDIS_URL", &*servers.redis_url)];
        let mut cluster = kit::Cluster { starter, settings: Settings::default().with(&stores) };
        step("The tables", cluster.command(&["migrate"])).await?;

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
            self.start_processes(&mut cluster, &mut at)?;
            self.wait_until_ready().await
        });
        start.await?;
        at.admin_key = step("A key that may create tenants", admin_key(&at, &cluster)).await?;
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

    fn start_processes(&mut self, cluster: &mut kit::Cluster<Processes>, at: &mut Addresses) -> anyhow::Result<()> {
        let (place, children) = (&self.place, &mut self.children);
        if self.simulated {
            let world = place.data.join("simulator.world").display().to_string();
            let more = [("SIMULATOR_LISTEN", &*listen(8090)), ("SIMULATOR_WORLD", &world)];
            let simulator = children.start(place, cluster, Program::Simulator, "simulator", &more)?;
            at.simulator = simulator.url();
            at.whatsapp = format!("ws://{}/ws/chat", simulator.listen);
            cluster.settings.set("WHATSAPP_URL", &*at.whatsapp);
            cluster.settings.set("WHATSAPP_VERSION", WHATSAPP_VERSION);
        }
        let api = children.start(place, cluster, Program::Api, "api", &[("API_LISTEN", &listen(8080))])?;
        at.api = api.url();
        let keys = place.credential_keys()?; // no other part opens credentials
        for n in 1..=self.workers {
            let name = format!("worker-{n}");
            children.start(place, cluster, Program::Worker, &name, &[("CREDENTIAL_KEYS", &keys)])?;
        }
        children.start(place, cluster, Program::Scheduler, "scheduler", &[])?;
        let parts = children.all().iter().filter(|process| process.name != "simulator");
        at.ops = parts.map(|process| (process.name.clone(), process.ops_url())).collect();
        Ok(())
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        for n in 0..self.children.all().len() {
            let Some(process) = self.children.all().get(n) else { break };
            let (name, program, ops) = (process.name.clone(), process.program, process.ops);
            let ready = kit::is_ready(&name, program, ops);
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

    /// Prints the last lines of the logs that most likely show the failure.
    pub(crate) fn tell_why(&mut self) {
        let dead = self.children.dead().map(|(name, _)| name);
        let names = self.children.all().iter().map(|process| process.name.as_str());
        for name in names.filter(|name| dead.as_deref().is_none_or(|dead| dead == *name)) {
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
        // the file says what is running; it may never have been written
        let _ = std::fs::remove_file(self.place.pids());
        println!("Everything is stopped ({:.1} s).", start.elapsed().as_secs_f32());
        Ok(())
    }
}

/// The admin key of this data directory. It is created once, in a file that only its owner can read.
async fn admin_key(at: &Addresses, cluster: &kit::Cluster<Processes>) -> anyhow::Result<String> {
    if let Some(key) = at.place.remembered("admin.key")
        && Http::new(&at.api, Some(&key)).is_ok("/v1/tenants").await.is_ok()
    {
        return Ok(key);
    }
    let key = cluster.command(&["keys", "create", "--admin", "--name", "this machine"]).await?;
    at.place.remember("admin.key", &key)?;
    Ok(key)
}
