//! What traces cost between the request and the acknowledgement: processor time of api and worker per message, with
//! tracing off, with all traces kept, and with one of a hundred kept. The modes take turns within a run. Each round has
//! a database of its own, and processes of the binaries `API` and `WORKER` (built with the feature `simulator`). It
//! uses the Postgres of `DATABASE_URL` and the Redis of `REDIS_URL`. `ROUNDS` and `MESSAGES` set the amount.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use domain::id::AccountId;
use kit::{Gateway, Phones, Process, Processes, Program, Scene, Settings};
use serde_json::json;
use sqlx::migrate::MigrateDatabase as _;
use sqlx::{PgPool, Postgres};
use store::{Fence, MIGRATOR, Store, outbox};
use tokio::task::JoinSet;

use crate::{first_number, variable};

/// The name and `OTEL_TRACES_SAMPLER_ARG` of each mode; without the latter, there is no OTLP endpoint.
const MODES: [(&str, Option<&str>); 3] = [("off", None), ("all kept", Some("1")), ("1 of 100 kept", Some("0.01"))];
/// The number of chats. Each takes one message at a time.
const CHATS: usize = 64;
/// The number of simultaneous requests.
const CALLERS: usize = 8;
/// The unit in which the kernel counts processor time (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(300);

/// The cost of one round per message.
struct Cost {
    api: Duration,
    worker: Duration,
    wall: Duration,
    bytes: usize,
}

/// The processor time that a process has used.
fn busy(process: &Process) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid().unwrap())).unwrap();
    // utime and stime are counted after the name, which may contain any character
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    TICK * (fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap())
}

fn number(setting: &str, default: usize) -> usize {
    std::env::var(setting).map_or(default, |value| value.parse().expect("a number"))
}

/// Starts a collector that accepts everything and counts bytes, in a thread of its own.
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

/// Measures all modes.
pub(crate) async fn measure() {
    let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    assert!(std::env::var_os(endpoint).is_none(), "{endpoint} is set: nothing would be measured without traces");
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
    (whatsapp, admin_url): (String, String),
    messages: usize,
) -> Cost {
    let url = format!("{}/{name}", variable("DATABASE_URL").rsplit_once('/').unwrap().0);
    Postgres::create_database(&url).await.unwrap();
    let db = PgPool::connect(&url).await.unwrap();
    MIGRATOR.run(&db).await.unwrap();
    let endpoint = format!("http://{collector}");
    let mut settings = Settings::simulated().with(&[
        ("DATABASE_URL", &url),
        ("REDIS_PREFIX", &format!("bench-{name}:")),
        ("RUST_LOG", "warn"),
        ("WHATSAPP_URL", &whatsapp),
    ]);
    if let Some(share) = share {
        settings = settings.with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_TRACES_SAMPLER_ARG", share)]);
    }
    let api = start(Program::Api, "API", &settings).await;
    let worker = start(Program::Worker, "WORKER", &settings).await;
    let gateway = admin(&db, &api.url()).await.tenant("Bench").await;
    let scene = Arc::new(Scene::new(gateway, Phones::new(&admin_url), first_number()));

    let (account, _) = scene.connected("Bench").await;
    let mut chats = Vec::new();
    for n in 0..CHATS {
        chats.push(scene.phone(&format!("Chat {n}")).await);
    }
    let path = format!("/v1/accounts/{account}/messages");
    // the first message to a number fetches keys, which is not to be measured
    send_all(&scene, &path, &chats, CHATS).await;
    all_acknowledged(&db, &account).await;

    let (before, begun) = ((busy(&api), busy(&worker)), Instant::now());
    send_all(&scene, &path, &chats, messages).await;
    all_acknowledged(&db, &account).await;
    let wall = begun.elapsed();
    tokio::time::sleep(Duration::from_millis(500)).await; // until receipts have arrived and traces are exported
    let per_message = |time: Duration| time.div_f64(messages as f64);
    let cost = Cost {
        api: per_message(busy(&api) - before.0),
        worker: per_message(busy(&worker) - before.1),
        wall: per_message(wall),
        bytes: 0,
    };
    let failed = scene.get(&format!("{path}?state=failed&limit=1")).await;
    assert_eq!(failed["data"], json!([]), "all were sent");
    drop((api, worker));
    db.close().await;
    Postgres::force_drop_database(&url).await.unwrap();
    cost
}

/// Starts the binary that a variable names, and waits until it is ready.
async fn start(program: Program, named: &str, settings: &Settings) -> Process {
    let how = Processes::of(Path::new(""));
    let process = Process::start(program, variable(named).into(), program.name(), settings, &how).unwrap();
    process.ready().await.unwrap();
    process
}

/// Creates an admin key and returns a client with it.
async fn admin(db: &PgPool, api: &str) -> Gateway {
    let (key, by) = (::api::auth::generate(None), store::audit::Operator::System("bench"));
    let (store, digest) = (Store::from(db.clone()), ::api::auth::digest(&key));
    store::api_keys::create_for_admin(store.for_all_tenants(), "bench", &digest, by).await.unwrap();
    Gateway::new(api, Some(&key))
}

async fn send_all(scene: &Arc<Scene>, path: &str, chats: &[String], messages: usize) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (scene, path, chats) = (Arc::clone(scene), path.to_owned(), chats.to_vec());
        callers.spawn(async move {
            for n in (caller..messages).step_by(CALLERS) {
                let message = json!({"to": chats[n % chats.len()], "text": format!("message {n}")});
                scene.post(&path, message).await;
            }
        });
    }
    callers.join_all().await;
}

/// Waits until the account's outbox is empty.
async fn all_acknowledged(db: &PgPool, account: &str) {
    let (begun, account) = (Instant::now(), account.parse::<AccountId>().unwrap());
    let store = Store::from(db.clone());
    let under = store.under(Fence { account, epoch: 0 }); // reading does not check the epoch
    while !outbox::waiting(under, &[], 1).await.unwrap().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "not all arrived");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
