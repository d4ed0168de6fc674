//! The cluster of one test: its parts, each as its binary runs it.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use kit::Proxy;
use process::config::{Database, Redis, Telemetry, Webhooks, Zones};
use process::telemetry::Guard;
use reqwest::StatusCode;
use simulator::Simulator;
use sqlx::{ConnectOptions as _, PgPool};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine; nothing waits so long when all is well.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// For credentials, where a test does not bring its own.
const KEYS: &str = "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What is logged of parts whose lines are kept: everything that `RUST_LOG` can ask for.
pub const EVERYTHING: &str = "trace";
/// Lines of parts that log, of all clusters of this process.
pub static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Writes lines where a test can read them.
struct Book;

impl std::io::Write for Book {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A process of the cluster, on a runtime of its own, so that it can vanish as a killed process does.
pub struct Part {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    runtime: Option<Runtime>,
    /// Where its health can be asked for.
    ops: Option<SocketAddr>,
    /// The export of its traces.
    _traces: Option<Guard>,
}

impl Part {
    /// Its traces are its own as well: each of its threads has a subscriber that knows the name of the part.
    fn start<F>(service: &'static str, telemetry: &Telemetry, stop: CancellationToken, run: F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let told = telemetry.otlp_endpoint.is_some() || telemetry.log == EVERYTHING;
        let traces = told.then(|| process::telemetry::dispatch_to(service, telemetry, || Book).unwrap());
        let (subscriber, traces) = traces.unzip();
        let mut builder = Builder::new_multi_thread();
        if let Some(subscriber) = subscriber {
            builder.on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&subscriber)));
        }
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        Self { stop, task: runtime.spawn(run), runtime: Some(runtime), ops: None, _traces: traces }
    }

    /// What its ops port says at `/readyz`, `/livez` or `/metrics`.
    pub async fn health(&self, path: &str) -> (StatusCode, String) {
        let answer = reqwest::get(format!("http://{}{path}", self.ops.unwrap())).await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// As SIGTERM does.
    pub async fn stop(mut self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, &mut self.task).await.expect("it stops in time").unwrap().unwrap();
    }

    /// Waits until it ends by itself, and answers how.
    pub async fn end(mut self) -> anyhow::Result<()> {
        tokio::time::timeout(DEADLINE, &mut self.task).await.expect("it ends in time").unwrap()
    }

    /// As SIGKILL does: no task of it runs any more, its sockets close without a word.
    pub fn vanish(self) {
        drop(self);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A free port, held.
fn listener() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The cluster.
pub struct Cluster {
    pub pool: PgPool,
    pub simulator: Simulator,
    pub prefix: String,
    pub database_url: String,
    pub redis_url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) api: SocketAddr,
    pub key: String,
    pub parts: Vec<Part>,
    /// Between workers that are started from now on and the simulator, where a test cuts or silences the line.
    pub line: Option<Proxy>,
    pub(crate) numbers: AtomicU64,
    /// Of the workers that are started from now on.
    pub lease_ttl_ms: u64,
    telemetry: Telemetry,
}

/// The lines between one worker and its stores.
pub struct Lines {
    pub postgres: Proxy,
    pub redis: Proxy,
}

/// A proxy to the server of this URL, and the URL through it.
async fn through(url: &str) -> (Proxy, String) {
    let mut url = reqwest::Url::parse(url).unwrap();
    let (host, port) = (url.host_str().unwrap().to_owned(), url.port().unwrap());
    let target = tokio::net::lookup_host((host, port)).await.unwrap().next().unwrap();
    let proxy = Proxy::start(target).await.unwrap();
    url.set_ip_host(proxy.address().ip()).unwrap();
    url.set_port(Some(proxy.address().port())).unwrap();
    (proxy, url.to_string())
}

fn redis_url() -> String {
    std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned())
}

impl Cluster {
    /// One api, one scheduler and `workers` workers, a tenant and its key.
    pub async fn start(pool: PgPool, workers: usize) -> (Self, Vec<Part>) {
        Self::start_on(pool, workers, redis_url()).await
    }

    /// As [`Cluster::start`], on a Redis of the test's own.
    pub async fn start_on(pool: PgPool, workers: usize, redis_url: String) -> (Self, Vec<Part>) {
        Self::start_with(pool, workers, redis_url, Telemetry::default()).await
    }

    /// As [`Cluster::start`], with traces as these settings say.
    pub async fn start_traced(pool: PgPool, workers: usize, telemetry: Telemetry) -> (Self, Vec<Part>) {
        Self::start_with(pool, workers, redis_url(), telemetry).await
    }

    async fn start_with(pool: PgPool, workers: usize, redis_url: String, telemetry: Telemetry) -> (Self, Vec<Part>) {
        let prefix = format!("test-{}:", uuid::Uuid::new_v4().simple());
        let simulator = simulator::start(simulator::Config::default()).await.unwrap();
        let database_url = pool.connect_options().to_url_lossy().to_string();
        let mut cluster = Self {
            pool,
            simulator,
            prefix,
            database_url,
            redis_url,
            http: reqwest::Client::new(),
            api: SocketAddr::from(([127, 0, 0, 1], 0)),
            key: String::new(),
            parts: Vec::new(),
            line: None,
            numbers: AtomicU64::new(15_550_000_001),
            lease_ttl_ms: 3_000,
            telemetry,
        };
        let api = cluster.api();
        cluster.parts.push(api);
        let scheduler = cluster.scheduler();
        cluster.parts.push(scheduler);
        let mut started = Vec::new();
        for _ in 0..workers {
            started.push(cluster.worker());
        }
        cluster.starts().await;
        cluster.key = cluster.tenant().await;
        (cluster, started)
    }

    /// Waits while the api says that it starts.
    async fn starts(&self) {
        let health = format!("http://{}/health", self.api);
        while self.http.get(&health).send().await.is_ok_and(|answer| answer.status() == StatusCode::SERVICE_UNAVAILABLE)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// As [`Cluster::start`], with one worker behind a [`Proxy`].
    pub async fn start_on_a_line(pool: PgPool) -> (Self, Vec<Part>) {
        let (mut cluster, _) = Self::start(pool, 0).await;
        let url = cluster.simulator.ws_url();
        let address = url.trim_start_matches("ws://").split('/').next().unwrap().parse().unwrap();
        cluster.line = Some(Proxy::start(address).await.unwrap());
        let worker = cluster.worker();
        (cluster, vec![worker])
    }

    /// Where workers find WhatsApp.
    fn whatsapp_url(&self) -> String {
        match &self.line {
            Some(line) => format!("ws://{}/ws/chat", line.address()),
            None => self.simulator.ws_url(),
        }
    }

    fn database(&self) -> Database {
        Database { url: self.database_url.clone(), max_connections: 16 }
    }

    fn redis(&self) -> Redis {
        Redis { url: self.redis_url.clone(), prefix: self.prefix.clone() }
    }

    /// A test's receivers stand on this machine.
    fn webhooks() -> Webhooks {
        Webhooks { allow_private: vec!["127.0.0.0/8".parse().unwrap()], allow_http: true }
    }

    fn api(&mut self) -> Part {
        let (tenants, address) = listener();
        self.api = address;
        let (ops, ops_address) = listener();
        let config = api::Config {
            connections: 8_192,
            connections_per_address: 4_096,
            listen: self.api,
            ops: api::config::Ops { listen: ops_address },
            database: self.database(),
            redis: self.redis(),
            telemetry: self.telemetry.clone(),
            zones: Zones::default(),
            webhooks: Self::webhooks(),
            source_url: env!("CARGO_PKG_REPOSITORY").to_owned(),
        };
        let stop = CancellationToken::new();
        let mut part = Part::start("switchboard-api", &self.telemetry, stop.clone(), async move {
            let listeners =
                api::Listeners { tenants: TcpListener::from_std(tenants)?, ops: TcpListener::from_std(ops)? };
            api::run(config, listeners, stop).await
        });
        part.ops = Some(ops_address);
        part
    }

    /// One more scheduler.
    #[must_use]
    pub fn scheduler(&self) -> Part {
        let (listener, listen) = listener();
        let config = scheduler::Config {
            database: self.database(),
            redis: self.redis(),
            telemetry: self.telemetry.clone(),
            zones: Zones::default(),
            ops: scheduler::Ops { listen },
            ring_again_s: 1,
            events_kept_days: 7,
            runs_kept_days: 90,
            messages_kept_days: 90,
            audit_kept_days: 365,
        };
        let stop = CancellationToken::new();
        let mut part = Part::start("switchboard-scheduler", &self.telemetry, stop.clone(), async move {
            scheduler::run(config, TcpListener::from_std(listener)?, stop).await
        });
        part.ops = Some(listen);
        part
    }

    /// One more worker.
    #[must_use]
    pub fn worker(&self) -> Part {
        self.worker_with(|_| ())
    }

    /// One more worker, with these keys for credentials.
    #[must_use]
    pub fn worker_with_keys(&self, credential_keys: &str) -> Part {
        self.worker_with(|config| config.credential_keys = worker::config::Secret(credential_keys.to_owned()))
    }

    /// One more worker, rolled out with a release.
    #[must_use]
    pub fn worker_of(&self, release: &str) -> Part {
        self.worker_with(|config| release.clone_into(&mut config.release))
    }

    /// One more worker, whose lines to its stores the test can cut.
    pub async fn worker_behind_lines(&self) -> (Part, Lines) {
        let (postgres, database_url) = through(&self.database_url).await;
        let (redis, redis_url) = through(&self.redis_url).await;
        let part = self.worker_with(|config| (config.database.url, config.redis.url) = (database_url, redis_url));
        (part, Lines { postgres, redis })
    }

    /// One more worker, with something set otherwise.
    #[must_use]
    pub fn worker_with(&self, change: impl FnOnce(&mut worker::Config)) -> Part {
        let (listener, listen) = listener();
        let mut config = worker::Config {
            database: self.database(),
            redis: self.redis(),
            telemetry: self.telemetry.clone(),
            zones: Zones::default(),
            webhooks: Self::webhooks(),
            ops: worker::config::Ops { listen },
            credential_keys: worker::config::Secret(KEYS.to_owned()),
            whatsapp_url: self.whatsapp_url(),
            whatsapp_version: Some("2.3000.1023223821".to_owned()),
            allow_public_simulator: false,
            capacity: 1_000,
            release: "1".to_owned(),
            connects_per_s: 100,
            lease_ttl_ms: self.lease_ttl_ms,
            pre_keys: 20,
            stop_timeout_s: 25,
            clock_skew_s: 0,
            reachout_hold_s: 300,
        };
        change(&mut config);
        let stop = CancellationToken::new();
        let mut part = Part::start("switchboard-worker", &self.telemetry, stop.clone(), async move {
            let connector = worker::link::whatsapp::from_config(&config)?;
            worker::run(config, connector, TcpListener::from_std(listener)?, stop).await
        });
        part.ops = Some(listen);
        part
    }

    /// Everything that is started from now on works with another database and an empty Redis, as after a restore; api and
    /// scheduler are started at once. What ran must have ended.
    pub async fn move_to(&mut self, pool: PgPool) {
        self.database_url = pool.connect_options().to_url_lossy().to_string();
        self.pool = pool;
        self.prefix = format!("test-{}:", uuid::Uuid::new_v4().simple());
        let (api, scheduler) = (self.api(), self.scheduler());
        self.parts.extend([api, scheduler]);
        self.starts().await;
    }

    /// Stops everything. Every event that was told must be as the registry says.
    pub async fn stop(self, workers: Vec<Part>) {
        // a test may have taken its database away by now
        let wrong = kit::wrong_events(&self.pool).await.unwrap_or_default();
        assert_eq!(wrong, Vec::<String>::new());
        for part in workers.into_iter().chain(self.parts) {
            part.stop().await;
        }
        self.simulator.stop().await.unwrap();
    }
}
