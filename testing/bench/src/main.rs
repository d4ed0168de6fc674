//! The figures of `docs/benchmarks.md`, measured on a running stack (`make stack`): its addresses come from `.data/stack.env`.
//! `switchboard-bench reminders` and `switchboard-bench traces` measure processes of their own instead.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for people at a terminal"
)]

mod reminders;
mod traces;

use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};

const SENDS: usize = 1_000;
const TRICKLE: Duration = Duration::from_millis(10);
const PAIRINGS: usize = 20;
const IDLE_ACCOUNTS: usize = 200;

struct Stack {
    http: Client,
    api: String,
    key: String,
    simulator: String,
    run: String,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make bench`, or `. .data/stack.env` first"))
}

impl Stack {
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.api)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn phone(&self, number: &str) {
        let body = json!({"number": number, "name": format!("Phone {number}")});
        self.http.post(format!("{}/phones", self.simulator)).json(&body).send().await.unwrap();
    }

    async fn account(&self, label: &str) -> String {
        let account = self.call(Method::POST, "/v1/accounts", Some(json!({"label": label}))).await;
        account["id"].as_str().unwrap().to_owned()
    }

    /// Pairs; answers how long the first code took from the request, and `connected` from the scan.
    async fn pair(&self, account: &str, number: &str) -> (Duration, Duration) {
        let start = Instant::now();
        self.call(Method::POST, &format!("/v1/accounts/{account}/pair"), Some(json!({}))).await;
        let url = format!("{}/v1/accounts/{account}/qr?format=text", self.api);
        let code = loop {
            let answer = self.http.get(&url).bearer_auth(&self.key).send().await.unwrap();
            if answer.status().is_success() {
                break answer.text().await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        let to_code = start.elapsed();
        let start = Instant::now();
        let scan = format!("{}/mock-phone/scan-qr?phone={number}", self.simulator);
        assert!(self.http.post(scan).body(code.trim().to_owned()).send().await.unwrap().status().is_success());
        while self.call(Method::GET, &format!("/v1/accounts/{account}"), None).await["status"] != "connected" {
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(start.elapsed() < Duration::from_secs(60), "never connected");
        }
        (to_code, start.elapsed())
    }
}

#[tokio::main]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        None => measure_stack().await,
        Some("reminders") => reminders::measure().await,
        Some("traces") => traces::measure().await,
        Some(other) => panic!("`{other}` is unknown: nothing, `reminders`, or `traces`"),
    }
}

async fn measure_stack() {
    let stack = Stack {
        http: Client::new(),
        api: variable("API_URL"),
        key: variable("TENANT_KEY"),
        simulator: format!("{}/admin", variable("SIMULATOR_ADMIN_URL")),
        run: format!(
            "{}",
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() % 100_000
        ),
    };
    let number = |n: usize| format!("49{}{n:04}", stack.run);
    println!("| figure | p50 | p99 | max |\n| --- | --- | --- | --- |");
    let (mut codes, mut links, mut accounts) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..PAIRINGS {
        stack.phone(&number(n)).await;
        let account = stack.account(&format!("Bench {n}")).await;
        let (code, link) = stack.pair(&account, &number(n)).await;
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
        &mut sends(&stack, &accounts[0], &number(9_000)).await,
    );
    for n in PAIRINGS..IDLE_ACCOUNTS {
        stack.phone(&number(n)).await;
        let account = stack.account(&format!("Bench {n}")).await;
        stack.pair(&account, &number(n)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    memory(&format!("{IDLE_ACCOUNTS} accounts"));
}

/// From the instant before the request to the instant at which the simulator had the stanza; both by the wall clock of
/// this machine.
async fn sends(stack: &Stack, account: &str, to: &str) -> Vec<Duration> {
    stack.phone(to).await;
    let path = format!("/v1/accounts/{account}/messages");
    let mut asked = std::collections::HashMap::new();
    // the first message to a new number fetches keys: it is not what is measured
    stack.call(Method::POST, &path, Some(json!({"to": to, "text": "warm-up"}))).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for n in 0..SENDS {
        let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let sent = stack.call(Method::POST, &path, Some(json!({"to": to, "text": format!("message {n}")}))).await;
        asked.insert(sent["whatsapp_id"].as_str().unwrap().to_owned(), at);
        tokio::time::sleep(TRICKLE).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let inbox = stack.http.get(format!("{}/phones/{to}/inbox", stack.simulator)).send().await.unwrap();
    let inbox: Vec<Value> = inbox.json().await.unwrap();
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

/// Resident memory of the workers.
fn memory(when: &str) {
    let workers = std::env::vars().filter(|(name, _)| name.starts_with("WORKER") && name.ends_with("_PID"));
    for (_, pid) in workers {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("unknown").trim();
        println!("| resident memory of the worker, {when} | {resident} | | |");
    }
}
