//! The cluster of one test.

use std::ops::Deref;
use std::path::Path;

use kit::{Gateway, Phones, Process, Processes, Program, Proxy, Scene, Settings, redis_prefix, redis_url, until};
use simulator::Simulator;
use sqlx::{ConnectOptions as _, PgPool};

use crate::in_process::{InProcess, Part};

/// The cluster. Its [`Scene`] has the calls that tests make.
pub struct Cluster {
    /// Its database.
    pub pool: PgPool,
    /// Its WhatsApp.
    pub simulator: Simulator,
    /// The api, the scheduler, and parts that a test adds.
    pub parts: Vec<Part>,
    /// The line between the simulator and workers that are started from now on, if a test needs to cut or silence it.
    pub line: Option<Proxy>,
    parted: kit::Cluster<InProcess>,
    scene: Scene,
}

/// The connections of one worker to its stores.
pub struct Lines {
    /// To Postgres.
    pub postgres: Proxy,
    /// To Redis.
    pub redis: Proxy,
}

impl Deref for Cluster {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

/// The settings for the database of this pool and for a Redis prefix of its own.
fn stores(pool: &PgPool) -> [(&'static str, String); 2] {
    [("DATABASE_URL", pool.connect_options().to_url_lossy().to_string()), ("REDIS_PREFIX", redis_prefix())]
}

impl Cluster {
    /// Starts one api, one scheduler and `workers` workers, and creates a tenant and its key.
    pub async fn start(pool: PgPool, workers: usize) -> (Self, Vec<Part>) {
        Self::start_with(pool, workers, &[]).await
    }

    /// As [`Cluster::start`], on the Redis at this URL.
    pub async fn start_on(pool: PgPool, workers: usize, redis_url: String) -> (Self, Vec<Part>) {
        Self::start_with(pool, workers, &[("REDIS_URL", &redis_url)]).await
    }

    /// As [`Cluster::start`], with settings for all parts.
    pub async fn start_with(pool: PgPool, workers: usize, more: &[(&str, &str)]) -> (Self, Vec<Part>) {
        kit::promise(|| serde_json::to_value(api::document()).unwrap());
        let simulator = simulator::start(simulator::Config::default()).await.unwrap();
        let mut settings = Settings::simulated().with(&[
            ("REDIS_URL", &redis_url()),
            ("LEASE_TTL_MS", "3000"),
            ("RING_AGAIN_S", "1"),
            ("WORKER_CAPACITY", "1000"),
            ("WORKER_RELEASE", "1"),
            ("WEBHOOK_ALLOW_PRIVATE", "127.0.0.0/8"), // a test's receivers stand on this machine
            ("WEBHOOK_ALLOW_HTTP", "true"),
        ]);
        stores(&pool).into_iter().for_each(|(name, value)| settings.set(name, value));
        let parted = kit::Cluster { starter: InProcess, settings: settings.with(more) };
        let scene = Scene::new(Gateway::new("", None), Phones::new(&simulator.admin_url()), 15_550_000_001);
        let mut cluster = Self { pool, simulator, parts: Vec::new(), line: None, parted, scene };
        cluster.start_api_and_scheduler(None);
        let started = (0..workers).map(|_| cluster.worker()).collect();
        cluster.answers().await;
        cluster.scene.gateway = cluster.admin().await.tenant("Acme").await;
        (cluster, started)
    }

    /// As [`Cluster::start`], with one worker that reaches the simulator through a [`Proxy`].
    pub async fn start_on_a_line(pool: PgPool) -> (Self, Vec<Part>) {
        let (mut cluster, _) = Self::start(pool, 0).await;
        let url = cluster.simulator.ws_url();
        let address = url.trim_start_matches("ws://").split('/').next().unwrap().parse().unwrap();
        cluster.line = Some(Proxy::start(address).await.unwrap());
        let worker = cluster.worker();
        (cluster, vec![worker])
    }

    fn start_api_and_scheduler(&mut self, key: Option<&str>) {
        let api = self.parted.start(Program::Api, "api", &[]).unwrap();
        self.scene.gateway = Gateway::new(&format!("http://{}", api.listen), key);
        let scheduler = self.scheduler();
        self.parts.extend([api, scheduler]);
    }

    /// Waits until the api answers `/health` with success.
    async fn answers(&self) {
        let health = self.gateway.request(reqwest::Method::GET, "/health").build().unwrap().url().to_string();
        until("the api", async || reqwest::get(&health).await.is_ok_and(|a| a.status().is_success()).then_some(()))
            .await;
    }

    /// Creates an admin key and returns a client with it.
    async fn admin(&self) -> Gateway {
        let (key, by) = (api::auth::generate(None), store::audit::Operator::System("test"));
        let (store, digest) = (store::Store::from(self.pool.clone()), api::auth::digest(&key));
        store::api_keys::create_for_admin(store.for_all_tenants(), "test", &digest, by).await.unwrap();
        Gateway::new(&format!("http://{}", self.parts[0].listen), Some(&key))
    }

    /// Changes a setting for parts that are started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.parted.settings.set(name, value);
    }

    /// The value of a setting.
    pub fn setting(&self, name: &str) -> &str {
        self.parted.settings.get(name).unwrap()
    }

    /// Starts one more scheduler.
    #[must_use]
    pub fn scheduler(&self) -> Part {
        self.parted.start(Program::Scheduler, "scheduler", &[]).unwrap()
    }

    /// Starts one more worker.
    #[must_use]
    pub fn worker(&self) -> Part {
        self.worker_with(&[])
    }

    /// Starts one more worker, with more settings.
    #[must_use]
    pub fn worker_with(&self, more: &[(&str, &str)]) -> Part {
        let whatsapp = [("WHATSAPP_URL", self.whatsapp_url())];
        let whatsapp = whatsapp.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.parted.start(Program::Worker, "worker", &[&whatsapp, more].concat()).unwrap()
    }

    /// Starts one more worker, whose connections to its stores the test can cut.
    pub async fn worker_behind_lines(&self) -> (Part, Lines) {
        let (postgres, database_url) = Proxy::before(self.setting("DATABASE_URL")).await.unwrap();
        let (redis, redis_url) = Proxy::before(self.setting("REDIS_URL")).await.unwrap();
        let part = self.worker_with(&[("DATABASE_URL", &database_url), ("REDIS_URL", &redis_url)]);
        (part, Lines { postgres, redis })
    }

    /// Starts one more worker as a process that runs this program. Its logs are written to the folder `logs`.
    #[must_use]
    pub fn worker_process(&self, program: &str, logs: Option<&Path>, more: &[(&str, &str)]) -> Process {
        let how = Processes { logs: logs.map(Path::to_owned), ..Processes::of(Path::new("")) };
        let settings = self.parted.settings.with(&[("WHATSAPP_URL", &self.whatsapp_url())]).with(more);
        Process::start(Program::Worker, program.into(), "worker", &settings, &how).unwrap()
    }

    /// The URL of WhatsApp for workers.
    fn whatsapp_url(&self) -> String {
        match &self.line {
            Some(line) => format!("ws://{}/ws/chat", line.address()),
            None => self.simulator.ws_url(),
        }
    }

    /// Makes every part that is started from now on use another database and an empty Redis prefix, as after a restore.
    /// Starts an api and a scheduler at once. The earlier parts must have ended.
    pub async fn move_to(&mut self, pool: PgPool) {
        stores(&pool).into_iter().for_each(|(name, value)| self.set(name, &value));
        self.pool = pool;
        let key = self.gateway.key().map(str::to_owned);
        self.start_api_and_scheduler(key.as_deref());
        self.answers().await;
    }

    /// Stops everything. Fails if an event in the database does not match the registry of events.
    pub async fn stop(self, workers: Vec<Part>) {
        // a test may have removed its database by now
        let wrong = kit::wrong_events(&self.pool).await.unwrap_or_default();
        assert_eq!(wrong, Vec::<String>::new());
        for part in workers.into_iter().chain(self.parts) {
            part.stop().await;
        }
        self.simulator.stop().await.unwrap();
    }
}
