//! The load during a campaign: tenants send messages and create reminders, and phones answer. `churn.rs` unpairs and
//! pairs accounts. Everything that was accepted is written to the ledger for the checker.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use kit::http::Refused;
use process::clock;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::churn::churn;
use crate::cluster::Cluster;
use crate::ledger::{Book, Promised, Recurring, Sent};
use crate::pace::{PATIENCE, pause};
use crate::people::{People, Person};

/// The number of recurring reminders.
const RECURRING: usize = 10;
/// The time between two of their occurrences. No reminder may recur more often.
const EVERY: TimeDelta = TimeDelta::minutes(5);
/// The shortest run that has recurring reminders: two occurrences must finish in it.
const LONG: TimeDelta = TimeDelta::minutes(12);
/// The minimum time between their last occurrence and the end.
const LAST: TimeDelta = TimeDelta::seconds(45);

/// The rates of the load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) sends_per_s: f64,
    pub(crate) reminders_per_s: f64,
    pub(crate) written_per_s: f64,
}

/// Runs the load until it is stopped. Returns when every request has its answer.
pub(crate) async fn go_on(
    cluster: Arc<Cluster>,
    people: Arc<People>,
    book: Book,
    pace: Pace,
    seed: u64,
    lasts: Duration,
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
    tasks.spawn(recur(Arc::clone(&cluster), Arc::clone(&people), book.clone(), lasts, dice()));
    tasks.spawn(remind(Arc::clone(&cluster), Arc::clone(&people), book.clone(), pace, dice(), stop.clone()));
    tasks.spawn(answer(Arc::clone(&cluster), people, book.clone(), pace, dice(), stop));
    while let Some(done) = tasks.join_next().await {
        if let Err(error) = done {
            cluster.journal.say(format_args!("a part of the load broke: {error}"));
            book.note(|ledger| ledger.broken.push(format!("a part of the load: {error}")));
        }
    }
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
            Ok((status, answer)) => refused(&cluster, &book, format!("a message: {status} {answer}")),
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
        // only one try: if an answer was lost, a second try would create a second reminder
        match cluster.gateway.ask(Method::POST, "/v1/reminders", Some(&body), None).await {
            Ok((200..=299, _)) => book.note(|ledger| {
                let readers = person.chats.iter().flat_map(|chat| chat.readers.clone()).collect();
                ledger.promised.push(Promised { name, readers });
            }),
            Ok((500.., _)) | Err(_) => book.note(|ledger| ledger.open += 1),
            Ok((status, answer)) => refused(&cluster, &book, format!("a reminder: {status} {answer}")),
        }
    }
}

/// At the start of a long run, creates reminders that fire every five minutes until shortly before its end.
async fn recur(cluster: Arc<Cluster>, people: Arc<People>, book: Book, lasts: Duration, mut dice: StdRng) {
    let begun = clock::now();
    for n in 1..=RECURRING {
        let start = clock::now() + Duration::from_millis(dice.random_range(2_000..15_000));
        let due = occurrences(start, begun, lasts);
        let Some(person) = people.steady.get(dice.random_range(0..people.steady.len())) else { return };
        if due.is_empty() {
            return;
        }
        let name = format!("r|again|{n}");
        let targets: Vec<&str> = person.chats.iter().map(|chat| chat.to.as_str()).collect();
        // `misfire` and `overlap` keep every occurrence, even if the one before is late
        let body = json!({"name": name, "account_id": person.account, "messages": [name], "targets": targets,
                          "start": start.to_rfc3339(), "timezone": "Europe/London", "misfire": "all", "overlap": "queue",
                          "rrule": format!("FREQ=MINUTELY;INTERVAL={};COUNT={}", EVERY.num_minutes(), due.len())});
        match cluster.gateway.ask(Method::POST, "/v1/reminders", Some(&body), None).await {
            Ok((200..=299, answer)) => book.note(|ledger| {
                let made: Value = serde_json::from_str(&answer).unwrap_or_default();
                let id = made["id"].as_str().unwrap_or_default().to_owned();
                let readers = person.chats.iter().flat_map(|chat| chat.readers.clone()).collect();
                ledger.recurring.push(Recurring { id, name, readers, due });
            }),
            Ok((500.., _)) | Err(_) => book.note(|ledger| ledger.open += 1),
            Ok((status, answer)) => refused(&cluster, &book, format!("a reminder: {status} {answer}")),
        }
    }
}

/// Pure. Returns the times at which a reminder fires that starts at `start` and recurs until shortly before the end of
/// the run. There are none in a short run.
fn occurrences(start: DateTime<Utc>, begun: DateTime<Utc>, lasts: Duration) -> Vec<DateTime<Utc>> {
    let lasts = TimeDelta::from_std(lasts).unwrap_or_default();
    if lasts < LONG {
        return vec![];
    }
    let times = std::iter::successors(Some(start.trunc_subsecs(0)), |at| Some(*at + EVERY));
    times.take_while(|at| *at <= begun + lasts - LAST).collect()
}

/// Prints and records that a valid request was refused.
fn refused(cluster: &Cluster, book: &Book, words: String) {
    cluster.journal.say(format_args!("refused: {words}"));
    book.note(|ledger| ledger.refused.push(words));
}

/// Lets phones write to accounts.
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
            Err(error) if error.is::<Refused>() => refused(&cluster, &book, format!("a phone: {error:#}")),
            Err(error) => {
                cluster.journal.say(format_args!("a phone could not write: {error:#}"));
                book.note(|ledger| ledger.broken.push(format!("a phone could not write: {error:#}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reminder of a long run has at least two occurrences, and time to finish the last one. A short run has none.
    #[test]
    fn reminders_repeat_in_long_runs() {
        let begun = DateTime::UNIX_EPOCH;
        for (start_ms, minutes, times) in [(2_700, 11, 0), (2_700, 12, 3), (14_900, 12, 3), (14_900, 20, 4)] {
            let lasts = Duration::from_secs(minutes * 60);
            let due = occurrences(begun + TimeDelta::milliseconds(start_ms), begun, lasts);
            assert_eq!(due.len(), times, "{minutes} minutes");
            assert!(due.first().is_none_or(|at| at.timestamp_millis() == start_ms / 1_000 * 1_000));
            assert!(due.windows(2).all(|pair| pair[1] - pair[0] == EVERY));
        }
    }
}
