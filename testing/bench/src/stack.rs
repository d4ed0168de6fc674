//! An api and a worker as processes, on a database of their own, with phones of a simulator in this process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::id::AccountId;
use kit::{Gateway, Phones, Process, Processes, Program, Scene, Settings};
use serde_json::json;
use sqlx::migrate::MigrateDatabase as _;
use sqlx::{PgPool, Postgres};
use store::{MIGRATOR, Store};
use tokio::task::JoinSet;

use crate::{first_number, variable};

/// The unit in which the kernel counts processor time (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(300);

/// The parts of one round.
pub(crate) struct Stack {
    pub(crate) db: PgPool,
    url: String,
    pub(crate) api: Process,
    pub(crate) worker: Process,
    pub(crate) scene: Arc<Scene>,
}

impl Stack {
    /// Starts the binaries `api` and `worker` (built with the feature `simulator`) on a new database of the Postgres of
    /// `DATABASE_URL`, and waits until they are ready. `phones` are the simulator's addresses for sockets and for its
    /// admin.
    pub(crate) async fn start(
        name: &str,
        phones: &(String, String),
        more: &[(&str, &str)],
        (api, worker): (&Path, &Path),
    ) -> Self {
        let url = format!("{}/{name}", variable("DATABASE_URL").rsplit_once('/').unwrap().0);
        Postgres::create_database(&url).await.unwrap();
        let db = PgPool::connect(&url).await.unwrap();
        MIGRATOR.run(&db).await.unwrap();
        let settings = Settings::simulated()
            .with(&[
                ("DATABASE_URL", &url),
                ("REDIS_PREFIX", &format!("bench-{name}:")),
                ("RUST_LOG", "warn"),
                ("WHATSAPP_URL", &phones.0),
            ])
            .with(more);
        let api = start(Program::Api, api, &settings).await;
        let worker = start(Program::Worker, worker, &settings).await;
        let gateway = admin(&db, &api.url()).await.tenant("Bench").await;
        let scene = Arc::new(Scene::new(gateway, Phones::new(&phones.1), first_number()));
        Self { db, url, api, worker, scene }
    }

    /// Sends messages by REST: message `n` goes from account `n` to chat `n` divided by the number of accounts, both
    /// counted round and round. `callers` requests run at the same time.
    pub(crate) async fn post(&self, accounts: &[String], chats: &[String], messages: usize, callers: usize) {
        let mut calls = JoinSet::new();
        for caller in 0..callers {
            let (scene, accounts, chats) = (Arc::clone(&self.scene), accounts.to_vec(), chats.to_vec());
            calls.spawn(async move {
                for n in (caller..messages).step_by(callers) {
                    let path = format!("/v1/accounts/{}/messages", accounts[n % accounts.len()]);
                    let chat = &chats[n / accounts.len() % chats.len()];
                    scene.post(&path, json!({"to": chat, "text": format!("message {n}")})).await;
                }
            });
        }
        calls.join_all().await;
    }

    /// Waits until no outbox holds anything.
    pub(crate) async fn all_acknowledged(&self) {
        let begun = Instant::now();
        let is_any = "SELECT EXISTS (SELECT FROM messages WHERE state = 'queued')";
        while sqlx::query_scalar(is_any).fetch_one(&self.db).await.unwrap() {
            assert!(begun.elapsed() < PATIENCE, "not all arrived");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Checks that nothing failed, stops the parts and removes the database.
    pub(crate) async fn end(self) {
        let failed = "SELECT count(*) FROM messages WHERE failed_at IS NOT NULL";
        assert_eq!(sqlx::query_scalar::<_, i64>(failed).fetch_one(&self.db).await.unwrap(), 0, "all were sent");
        drop((self.api, self.worker));
        self.db.close().await;
        Postgres::force_drop_database(&self.url).await.unwrap();
    }
}

/// The number of transactions of a database, by Postgres's counters.
pub(crate) async fn transactions(db: &PgPool) -> i64 {
    let count = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    sqlx::query_scalar(count).fetch_one(db).await.unwrap()
}

/// Starts a binary, and waits until it is ready.
pub(crate) async fn start(program: Program, path: &Path, settings: &Settings) -> Process {
    let how = Processes::of(Path::new(""));
    let process = Process::start(program, path.to_owned(), program.name(), settings, &how).unwrap();
    process.ready().await.unwrap();
    process
}

/// Creates an admin key and returns a client with it.
pub(crate) async fn admin(db: &PgPool, api: &str) -> Gateway {
    let (key, by) = (::api::auth::generate(None), store::audit::Operator::System("bench"));
    let (store, digest) = (Store::from(db.clone()), ::api::auth::digest(&key));
    store::api_keys::create_for_admin(store.for_all_tenants(), "bench", &digest, by).await.unwrap();
    Gateway::new(api, Some(&key))
}

/// The processor time that a process has used, with that of its children that have ended.
pub(crate) fn busy(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // utime, stime, cutime and cstime are counted after the name, which may contain any character
    let Some((_, fields)) = stat.rsplit_once(')') else { return Duration::ZERO };
    let fields: Vec<u32> = fields.split_whitespace().skip(11).take(4).map(|ticks| ticks.parse().unwrap()).collect();
    TICK * fields.iter().sum()
}

/// The processor time of Postgres: of its first process, and of all that it has started.
pub(crate) fn busy_postgres() -> Duration {
    let first: u32 = variable("POSTGRES_PID").parse().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
    busy(first) + children.split_whitespace().map(|pid| busy(pid.parse().unwrap())).sum::<Duration>()
}

/// The account's id as it stands in the database.
pub(crate) fn id(account: &str) -> AccountId {
    account.parse().unwrap()
}
