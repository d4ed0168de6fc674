//! The figures of `docs/benchmarks.md`, measured on a running stack (`make stack`) with the addresses of
//! `.data/stack.env`. `switchboard-bench` with `accept`, `reminders`, `sends`, `statements`, `traces` or `webhooks` starts
//! and measures processes of its own instead.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for people at a terminal"
)]

mod accept;
mod receivers;
mod reminders;
mod sends;
mod stack;
mod statements;
mod traces;
mod webhooks;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kit::{Gateway, Phones, Scene};
use serde_json::json;

const SENDS: usize = 1_000;
const TRICKLE: Duration = Duration::from_millis(10);
const PAIRINGS: usize = 20;
const IDLE_ACCOUNTS: usize = 200;

/// The first phone number of a run. It differs between runs, because the phones of earlier runs stay.
fn first_number() -> u64 {
    let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 100_000;
    491_000_000_000 + run * 10_000
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make bench`, or `. .data/stack.env` first"))
}

/// Pairs an account. Returns the time from the request to the first code, and from the scan to `connected`.
async fn pair(scene: &Scene, account: &str, number: &str) -> (Duration, Duration) {
    let start = Instant::now();
    scene.post(&format!("/v1/accounts/{account}/pair"), json!({})).await;
    let code = loop {
        let (status, _, code) = scene.raw(&format!("/v1/accounts/{account}/qr?format=text")).await;
        if status.is_success() {
            break String::from_utf8(code).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let to_code = start.elapsed();
    let start = Instant::now();
    assert!(scene.scan(number, code.trim()).await.0.is_success());
    while scene.get(&format!("/v1/accounts/{account}")).await["status"] != "connected" {
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(start.elapsed() < Duration::from_secs(60), "never connected");
    }
    (to_code, start.elapsed())
}

/// A number from the environment.
fn number(setting: &str, default: usize) -> usize {
    std::env::var(setting).map_or(default, |value| value.parse().expect("a number"))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        None => measure_stack().await,
        Some("reminders") => reminders::measure().await,
        Some("traces") => traces::measure().await,
        Some("accept") => accept::measure().await,
        Some("sends") => sends::measure().await,
        Some("statements") => statements::measure().await,
        Some("webhooks") => webhooks::measure().await,
        Some(other) => {
            panic!(
                "`{other}` is unknown: nothing, `accept`, `reminders`, `sends`, `statements`, `traces`, or `webhooks`"
            )
        }
    }
}

async fn measure_stack() {
    let gateway = Gateway::new(&variable("API_URL"), Some(&variable("TENANT_KEY")));
    let phones = Phones::new(&format!("{}/admin", variable("SIMULATOR_ADMIN_URL")));
    let scene = Scene::new(gateway, phones, first_number());
    println!("| figure | p50 | p99 | max |\n| --- | --- | --- | --- |");
    let (mut codes, mut links, mut accounts) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..PAIRINGS {
        let number = scene.phone(&format!("Phone {n}")).await;
        let account = scene.account(&format!("Bench {n}")).await;
        let (code, link) = pair(&scene, &account, &number).await;
        codes.push(code);
        links.push(link);
        accounts.push(account);
        if n == 0 {
            memory("1 account");
        }
    }
    row(&format!("POST pair to first QR ({PAIRINGS})"), &mut codes);
    row(&format!("scan to connected ({PAIRINGS})"), &mut links);
    row(
        &format!("POST message to the simulator's receipt ({SENDS}, one every {TRICKLE:?})"),
        &mut sends(&scene, &accounts[0]).await,
    );
    for n in PAIRINGS..IDLE_ACCOUNTS {
        scene.connected(&format!("Bench {n}")).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    memory(&format!("{IDLE_ACCOUNTS} accounts"));
}

/// Returns the time from each request until the simulator received the stanza. Both times are from the wall clock of
/// this machine.
async fn sends(scene: &Scene, account: &str) -> Vec<Duration> {
    let to = scene.phone("Reader").await;
    let path = format!("/v1/accounts/{account}/messages");
    let mut asked = std::collections::HashMap::new();
    // the first message to a new number fetches keys, which is not to be measured
    scene.post(&path, json!({"to": to, "text": "warm-up"})).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for n in 0..SENDS {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let sent = scene.post(&path, json!({"to": to, "text": format!("message {n}")})).await;
        asked.insert(sent["whatsapp_id"].as_str().unwrap().to_owned(), at);
        tokio::time::sleep(TRICKLE).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let inbox = scene.inbox(&to).await;
    let found: Vec<Duration> = inbox
        .iter()
        .filter_map(|message| {
            let at = asked.get(message["id"].as_str()?)?;
            Duration::from_micros(message["server_received_at_us"].as_u64()?).checked_sub(*at)
        })
        .collect();
    assert_eq!(found.len(), SENDS, "every message arrived");
    found
}

fn row(name: &str, figures: &mut [Duration]) {
    figures.sort();
    let at = |share: f64| figures[((figures.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
    println!("| {name} | {:.1} ms | {:.1} ms | {:.1} ms |", at(0.5), at(0.99), at(1.0));
}

/// Prints the resident memory of the workers.
fn memory(when: &str) {
    let workers = std::env::vars().filter(|(name, _)| name.starts_with("WORKER") && name.ends_with("_PID"));
    for (_, pid) in workers {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("unknown").trim();
        println!("| resident memory of the worker, {when} | {resident} | | |");
    }
}
