//! What traces cost on the way from the request to the acknowledgement: processor time of api and worker per message, with
//! tracing off, all stories kept, and one of a hundred. In turns within one run, each on a database of its own, with
//! processes of the programs `API` and `WORKER` (built with the feature `simulator`) on the Postgres of `DATABASE_URL` and the
//! Redis of `REDIS_URL`. `ROUNDS` and `MESSAGES` choose how much.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use domain::id::AccountId;
use reqwest::{Client, Method};
use serde_json::json;
use sqlx::migrate::MigrateDatabase as _;
use sqlx::{PgPool, Postgres};
use store::{MIGRATOR, outbox};
use tokio::task::JoinSet;

use crate::{Stack, variable};

/// Name, and `OTEL_TRACES_SAMPLER_ARG`; none: no endpoint.
const MODES: [(&str, Option<&str>); 3] = [("off", None), ("all kept", Some("1")), ("1 of 100 kept", Some("0.01"))];
/// Each chat takes one message at a time.
const CHATS: usize = 64;
/// Requests at the same time.
const CALLERS: usize = 8;
/// The kernel counts processor time in these (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(300);
const KEYS: &str = "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What one round cost, per message.
struct Cost {
    api: Duration,
    worker: Duration,
    wall: Duration,
    bytes: usize,
}

/// A process, killed when it goes.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn busy(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        // utime and stime, counted behind the name, which may hold anything
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        TICK * (fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap())
    }
}

fn number(setting: &str, default: usize) -> usize {
    std::env::var(setting).map_or(default, |value| value.parse().expect("a number"))
}

/// A collector that takes everything and counts bytes, on a thread of its own.
fn collector() -> (SocketAddr, Arc<AtomicUsize>) {
    let bytes = Arc::new(AtomicUsize::new(0));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let (address, counted) = (listener.local_addr().unwrap(), Arc::clone(&bytes));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let take = post(move |body: Bytes| async move {
                counted.fetch_add(body.len(), Ordering::Relaxed);
            });
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, Router::new().route("/v1/traces", take)).await.unwrap();
        });
    });
    (address, bytes)
}

/// Measures.
pub(crate) async fn measure() {
    let (rounds, messages) = (number("ROUNDS", 5), number("MESSAGES", 2_000));
    let simulator = simulator::start(simulator::Config::default()).await.unwrap();
    let (collector, bytes) = collector();
    let mut costs: [Vec<Cost>; 3] = Default::default();
    for round in 0..rounds {
        for place in 0..MODES.len() {
            let mode = (place + round) % MODES.len();
            let name = format!("switchboard_bench_traces_{}_{round}_{mode}", std::process::id());
            let (whatsapp, admin) = (simulator.ws_url(), simulator.admin_url());
            let before = bytes.load(Ordering::Relaxed);
            let mut cost = one_round(&name, MODES[mode].1, collector, (whatsapp, admin), messages).await;
            cost.bytes = (bytes.load(Ordering::Relaxed) - before) / messages;
            eprintln!("{round} {}: api {:?}, worker {:?}, {:?}", MODES[mode].0, cost.api, cost.worker, cost.wall);
            costs[mode].push(cost);
        }
    }
    println!(
        "| traces | api: processor time per message | worker | ratio of both to `off` | wall time per message | ratio | OTLP per message |\n\
         | --- | --- | --- | --- | --- | --- | --- |"
    );
    for (mode, (name, _)) in MODES.iter().enumerate() {
        let us = |of: fn(&Cost) -> Duration| median(costs[mode].iter().map(|cost| of(cost).as_secs_f64() * 1e6));
        let ratio = |of: fn(&Cost) -> Duration| {
            median(costs[mode].iter().zip(&costs[0]).map(|(cost, off)| of(cost).as_secs_f64() / of(off).as_secs_f64()))
        };
        println!(
            "| {name} | {:.0} µs | {:.0} µs | {:.3} | {:.0} µs | {:.3} | {:.0} bytes |",
            us(|cost| cost.api),
            us(|cost| cost.worker),
            ratio(|cost| cost.api + cost.worker),
            us(|cost| cost.wall),
            ratio(|cost| cost.wall),
            median(costs[mode].iter().map(|cost| cost.bytes as f64)),
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn one_round(
    name: &str,
    share: Option<&str>,
    collector: SocketAddr,
    (whatsapp, admin): (String, String),
    messages: usize,
) -> Cost {
    let url = format!("{}/{name}", variable("DATABASE_URL").rsplit_once('/').unwrap().0);
    Postgres::create_database(&url).await.unwrap();
    let db = PgPool::connect(&url).await.unwrap();
    MIGRATOR.run(&db).await.unwrap();
    let settings = |command: &mut Command| {
        command.env("DATABASE_URL", &url).env("REDIS_PREFIX", format!("bench-{name}:")).env("RUST_LOG", "warn");
        command
            .env("WHATSAPP_URL", &whatsapp)
            .env("WHATSAPP_VERSION", "2.3000.1023223821")
            .env("CREDENTIAL_KEYS", KEYS);
        command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
        if let Some(share) = share {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"));
            command.env("OTEL_TRACES_SAMPLER_ARG", share);
        }
    };
    let (api, address) = start("API", settings).await;
    let (worker, _) = start("WORKER", settings).await;
    let stack = stack(&db, address, admin).await;

    let account = stack.account("Bench").await;
    let own = format!("49{}", 1_000_000_000 + std::process::id());
    stack.phone(&own).await;
    stack.pair(&account, &own).await;
    let chats: Vec<String> = (0..CHATS).map(|n| format!("49151{:07}", n + 1)).collect();
    for chat in &chats {
        stack.phone(chat).await;
    }
    let path = format!("/v1/accounts/{account}/messages");
    // the first message to a number fetches keys: it is not what is measured
    send_all(&stack, &path, &chats, CHATS).await;
    all_acknowledged(&db, &account).await;

    let (before, begun) = ((api.busy(), worker.busy()), Instant::now());
    send_all(&stack, &path, &chats, messages).await;
    all_acknowledged(&db, &account).await;
    let wall = begun.elapsed();
    tokio::time::sleep(Duration::from_millis(500)).await; // receipts, and what is exported
    let per_message = |time: Duration| time.div_f64(messages as f64);
    let cost = Cost {
        api: per_message(api.busy() - before.0),
        worker: per_message(worker.busy() - before.1),
        wall: per_message(wall),
        bytes: 0,
    };
    let failed = stack.call(Method::GET, &format!("{path}?state=failed&limit=1"), None).await;
    assert_eq!(failed["data"], json!([]), "all were sent");
    drop((api, worker));
    db.close().await;
    Postgres::force_drop_database(&url).await.unwrap();
    cost
}

/// Starts a process and waits until it is ready; answers where it serves tenants.
async fn start(program: &str, settings: impl Fn(&mut Command)) -> (Process, String) {
    let (port, ops) = (kit::free_port(), kit::free_port());
    let mut command = Command::new(variable(program));
    settings(&mut command);
    command.env("OPS_LISTEN", format!("127.0.0.1:{ops}")).env("API_LISTEN", format!("127.0.0.1:{port}"));
    let process = Process(command.stdout(Stdio::null()).spawn().expect("API and WORKER name programs"));
    let begun = Instant::now();
    while !reqwest::get(format!("http://127.0.0.1:{ops}/readyz")).await.is_ok_and(|answer| answer.status().is_success())
    {
        assert!(begun.elapsed() < Duration::from_secs(30), "{program} is never ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (process, format!("http://127.0.0.1:{port}"))
}

async fn stack(db: &PgPool, api: String, simulator: String) -> Arc<Stack> {
    let key = ::api::auth::generate(None);
    store::api_keys::create(db, None, "bench", &::api::auth::digest(&key), store::audit::Operator::System("bench"))
        .await
        .unwrap();
    let mut stack = Stack { http: Client::new(), api, key, simulator, run: String::new() };
    let tenant = stack.call(Method::POST, "/v1/tenants", Some(json!({"name": "Bench"}))).await;
    let keys = format!("/v1/tenants/{}/keys", tenant["id"].as_str().unwrap());
    let key = stack.call(Method::POST, &keys, Some(json!({"name": "bench"}))).await;
    stack.key = key["secret"].as_str().unwrap().to_owned();
    Arc::new(stack)
}

async fn send_all(stack: &Arc<Stack>, path: &str, chats: &[String], messages: usize) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (stack, path, chats) = (Arc::clone(stack), path.to_owned(), chats.to_vec());
        callers.spawn(async move {
            for n in (caller..messages).step_by(CALLERS) {
                let message = json!({"to": chats[n % chats.len()], "text": format!("message {n}")});
                stack.call(Method::POST, &path, Some(message)).await;
            }
        });
    }
    callers.join_all().await;
}

/// Waits until nothing is left in the account's outbox.
async fn all_acknowledged(db: &PgPool, account: &str) {
    let (begun, account) = (Instant::now(), account.parse::<AccountId>().unwrap());
    while !outbox::waiting(db, account, &[], 1).await.unwrap().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "not all arrived");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
