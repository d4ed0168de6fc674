//! What tenants and their people do meanwhile: they write, set reminders, answer, unpair and pair again. Whatever was
//! accepted is written into the ledger, for the checker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::clock;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::people::{People, Person};

/// How long a caller tries before it leaves a request open: nobody knows then whether it was accepted.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a fickle account may take to be connected again before it is asked once more.
const PAIRING: Duration = Duration::from_secs(45);
/// How long the phone's own logout may take to be noticed.
const NOTICING: Duration = Duration::from_secs(90);

/// A message that was answered with 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) sender: String,
    pub(crate) text: String,
    /// Place within its chat.
    pub(crate) n: u64,
    pub(crate) readers: Vec<String>,
}

/// A reminder that was answered with 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Promised {
    /// Its name, and its text.
    pub(crate) name: String,
    pub(crate) readers: Vec<String>,
}

/// What was accepted.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ledger {
    pub(crate) sent: Vec<Sent>,
    pub(crate) promised: Vec<Promised>,
    /// Texts that phones wrote to accounts.
    pub(crate) written: Vec<String>,
    /// Requests of which nobody knows whether they were accepted.
    pub(crate) open: u64,
    /// What each fickle account should be at the end, by id.
    pub(crate) fickle: Vec<(String, &'static str)>,
    /// Unpairs, logouts and pairings that were carried through.
    pub(crate) churned: u64,
}

/// The ledger, shared.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<Ledger>>);

impl Book {
    fn note(&self, write: impl FnOnce(&mut Ledger)) {
        write(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What it holds now.
    pub(crate) fn read(&self) -> Ledger {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) sends_per_s: f64,
    pub(crate) reminders_per_s: f64,
    pub(crate) written_per_s: f64,
}

/// Goes on until stopped; returns when every request under way has its answer.
pub(crate) async fn go_on(
    cluster: Arc<Cluster>,
    people: Arc<People>,
    book: Book,
    pace: Pace,
    seed: u64,
    stop: CancellationToken,
) {
    let mut tasks = JoinSet::new();
    let each = people.steady.len() as f64 / pace.sends_per_s;
    for (n, person) in people.steady.iter().enumerate() {
        let dice = StdRng::seed_from_u64(seed ^ (n as u64 + 1));
        tasks.spawn(write(Arc::clone(&cluster), person.clone(), book.clone(), each, dice, stop.clone()));
    }
    for (n, person) in people.fickle.iter().enumerate() {
        let dice = StdRng::seed_from_u64(seed ^ (n as u64 + 100_001));
        tasks.spawn(churn(Arc::clone(&cluster), person.clone(), book.clone(), dice, stop.clone()));
    }
    let dice = || StdRng::seed_from_u64(seed ^ 200_001);
    tasks.spawn(remind(Arc::clone(&cluster), Arc::clone(&people), book.clone(), pace, dice(), stop.clone()));
    tasks.spawn(answer(cluster, people, book, pace, dice(), stop));
    while let Some(done) = tasks.join_next().await {
        if let Err(error) = done {
            println!("a part of the load broke: {error}");
        }
    }
}

/// Waits about `mean_s` seconds; false when it is time to stop.
async fn pause(mean_s: f64, dice: &mut StdRng, stop: &CancellationToken) -> bool {
    let wait = Duration::from_secs_f64(mean_s * dice.random_range(0.2..1.8));
    tokio::time::timeout(wait, stop.cancelled()).await.is_err()
}

async fn write(
    cluster: Arc<Cluster>,
    person: Person,
    book: Book,
    every_s: f64,
    mut dice: StdRng,
    stop: CancellationToken,
) {
    let mut counts = vec![0_u64; person.chats.len()];
    while pause(every_s, &mut dice, &stop).await {
        let chosen = dice.random_range(0..person.chats.len());
        let Some((chat, n)) = person.chats.get(chosen).zip(counts.get_mut(chosen)) else { continue };
        *n += 1;
        let text = format!("s|{}|{chosen}|{n}", person.number);
        let body = json!({"to": chat.to, "text": text});
        let path = format!("/v1/accounts/{}/messages", person.account);
        match cluster.gateway.insist(Method::POST, &path, Some(&body), Some(&text), PATIENCE).await {
            Ok((200..=299, _)) => book.note(|ledger| {
                ledger.sent.push(Sent { sender: person.number.clone(), text, n: *n, readers: chat.readers.clone() });
            }),
            Ok((status, answer)) => cluster.journal.say(format_args!("a message was refused: {status} {answer}")),
            Err(_) => book.note(|ledger| ledger.open += 1),
        }
    }
}

async fn remind(
    cluster: Arc<Cluster>,
    people: Arc<People>,
    book: Book,
    pace: Pace,
    mut dice: StdRng,
    stop: CancellationToken,
) {
    let mut n = 0;
    while pause(1.0 / pace.reminders_per_s, &mut dice, &stop).await {
        n += 1;
        let Some(person) = people.steady.get(dice.random_range(0..people.steady.len())) else { return };
        let name = format!("r|{n}");
        let start = clock::now() + Duration::from_millis(dice.random_range(2_000..15_000));
        let kind = if n % 5 == 0 { "daily" } else { "none" };
        let targets: Vec<&str> = person.chats.iter().map(|chat| chat.to.as_str()).collect();
        let body = json!({"name": name, "account_id": person.account, "messages": [name], "targets": targets,
                          "start": start.to_rfc3339(), "timezone": "Europe/London", "recurrence": {"kind": kind}});
        // once: a second try after an answer that was lost would be a second reminder
        match cluster.gateway.ask(Method::POST, "/v1/reminders", Some(&body), None).await {
            Ok((200..=299, _)) => book.note(|ledger| {
                let readers = person.chats.iter().flat_map(|chat| chat.readers.clone()).collect();
                ledger.promised.push(Promised { name, readers });
            }),
            Ok((500.., _)) | Err(_) => book.note(|ledger| ledger.open += 1),
            Ok((status, answer)) => cluster.journal.say(format_args!("a reminder was refused: {status} {answer}")),
        }
    }
}

/// Phones write to accounts.
async fn answer(
    cluster: Arc<Cluster>,
    people: Arc<People>,
    book: Book,
    pace: Pace,
    mut dice: StdRng,
    stop: CancellationToken,
) {
    let mut n = 0;
    while pause(1.0 / pace.written_per_s, &mut dice, &stop).await {
        n += 1;
        let Some(person) = people.steady.get(dice.random_range(0..people.steady.len())) else { return };
        let Some(friend) = person.chats.first() else { return };
        let text = format!("w|{n}");
        let path = format!("/phones/{}/send", friend.to);
        match cluster.phones.call(Method::POST, &path, Some(json!({"to": person.number, "text": text}))).await {
            Ok(_) => book.note(|ledger| ledger.written.push(text)),
            Err(error) => cluster.journal.say(format_args!("a phone could not write: {error:#}")),
        }
    }
}

/// Unpairs (or is logged out by its phone, or deleted and made anew) and pairs again, over and over.
async fn churn(cluster: Arc<Cluster>, mut person: Person, book: Book, mut dice: StdRng, stop: CancellationToken) {
    while pause(6.0, &mut dice, &stop).await {
        let gone = match dice.random_range(0..4) {
            0 => log_out(&cluster, &person).await,
            1 => replace(&cluster, &mut person).await,
            _ => unpair(&cluster, &person).await,
        };
        if let Err(error) = gone {
            cluster.journal.say(format_args!("{}: {error:#}", person.label));
        }
        // what is begun is brought to its end, also when it is time to stop: faults are over soon
        for _ in 0..8 {
            match cluster.gateway.pair(&cluster.phones, &person.account, &person.number, PAIRING).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => cluster.journal.say(format_args!("{} is not paired yet: {error:#}", person.label)),
            }
        }
        book.note(|ledger| ledger.churned += 1);
    }
    book.note(|ledger| ledger.fickle.push((person.account.clone(), "connected")));
}

async fn unpair(cluster: &Cluster, person: &Person) -> anyhow::Result<()> {
    let path = format!("/v1/accounts/{}/unpair", person.account);
    cluster.gateway.demand(Method::POST, &path, None, PATIENCE).await?;
    let status = cluster.gateway.status(&person.account).await?;
    anyhow::ensure!(status == "unpaired", "it was unpaired and is {status}");
    Ok(())
}

async fn log_out(cluster: &Cluster, person: &Person) -> anyhow::Result<()> {
    let phone = cluster.phones.call(Method::GET, &format!("/phones/{}", person.number), None).await?;
    let devices = phone["linked_devices"].as_array().cloned().unwrap_or_default();
    for device in devices.iter().filter_map(|device| device["device"].as_u64()) {
        cluster.phones.call(Method::DELETE, &format!("/phones/{}/devices/{device}", person.number), None).await?;
    }
    let start = std::time::Instant::now();
    while cluster.gateway.status(&person.account).await? != "logged_out" {
        anyhow::ensure!(start.elapsed() < NOTICING, "its phone logged it out {NOTICING:?} ago, and nobody noticed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn replace(cluster: &Cluster, person: &mut Person) -> anyhow::Result<()> {
    let path = format!("/v1/accounts/{}", person.account);
    let (status, answer) = cluster.gateway.insist(Method::DELETE, &path, None, None, PATIENCE).await?;
    anyhow::ensure!(status < 300 || status == 404, "it could not be deleted: {status} {answer}");
    person.account = cluster.gateway.account(&person.label).await?;
    Ok(())
}
