//! What traces cost between the request and the acknowledgement: processor time of api and worker per message, with
//! tracing off, with all traces kept, and with one of a hundred kept. The modes take turns within a run. Each round has
//! a database of its own, and processes of the binaries `API` and `WORKER` (built with the feature `simulator`). It
//! uses the Postgres of `DATABASE_URL` and the Redis of `REDIS_URL`. `ROUNDS` and `MESSAGES` set the amount.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;

use crate::stack::{Stack, busy};
use crate::{median, number, variable};

/// The name and `OTEL_TRACES_SAMPLER_ARG` of each mode; without the latter, there is no OTLP endpoint.
const MODES: [(&str, Option<&str>); 3] = [("off", None), ("all kept", Some("1")), ("1 of 100 kept", Some("0.01"))];
/// The number of chats. Each takes one message at a time.
const CHATS: usize = 64;
/// The number of simultaneous requests.
const CALLERS: usize = 8;

/// The cost of one round per message.
struct Cost {
    api: Duration,
    worker: Duration,
    wall: Duration,
    bytes: usize,
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

async fn one_round(
    name: &str,
    share: Option<&str>,
    collector: SocketAddr,
    phones: (String, String),
    messages: usize,
) -> Cost {
    let endpoint = format!("http://{collector}");
    let traces: &[(&str, &str)] = match share {
        Some(share) => &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_TRACES_SAMPLER_ARG", share)],
        None => &[],
    };
    let binaries = (variable("API"), variable("WORKER"));
    let stack = Stack::start(name, &phones, traces, (binaries.0.as_ref(), binaries.1.as_ref())).await;
    let accounts = [stack.scene.connected("Bench").await.0];
    let mut chats = Vec::new();
    for n in 0..CHATS {
        chats.push(stack.scene.phone(&format!("Chat {n}")).await);
    }
    // the first message to a number fetches keys, which is not to be measured
    stack.post(&accounts, &chats, CHATS, CALLERS).await;
    stack.all_acknowledged().await;

    let [api, worker] = [&stack.api, &stack.worker].map(|process| process.pid().unwrap());
    let (before, begun) = ((busy(api), busy(worker)), Instant::now());
    stack.post(&accounts, &chats, messages, CALLERS).await;
    stack.all_acknowledged().await;
    let wall = begun.elapsed();
    tokio::time::sleep(Duration::from_millis(500)).await; // until receipts have arrived and traces are exported
    let per_message = |time: Duration| time.div_f64(messages as f64);
    let cost = Cost {
        api: per_message(busy(api) - before.0),
        worker: per_message(busy(worker) - before.1),
        wall: per_message(wall),
        bytes: 0,
    };
    stack.end().await;
    cost
}
