//! The figures of take-overs in `docs/reliability.md`. Each is measured on a cluster of its own, without other faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::json;

use crate::cluster::{Cluster, Setup};
use crate::evidence::Device;
use crate::people::{People, Person};
use crate::plan::Who;
use crate::takeover::{Takeover, quantile, takeovers};

/// The minimum number of take-overs of each kind.
const TAKEOVERS: usize = 50;
/// The minimum number of times that a worker is ended in each way. Each time is at another point between two
/// heartbeats.
const ENDS: usize = 10;
/// The maximum number of times. Until then there must be enough take-overs.
const ENDS_MAX: usize = 40;
/// The number of accounts in the clusters in which workers are stopped and killed.
const ACCOUNTS: usize = 60;
/// The number of accounts of the worker in the last figure.
const MANY: usize = 1_000;
/// The number of accounts in the cluster that is killed as a whole.
const ALL: usize = 200;
/// How often Redis is emptied.
const EMPTIED: usize = 50;
/// The longest time for any measurement.
const LIMIT: Duration = Duration::from_secs(180);

/// A row of the table.
struct Figure {
    words: &'static str,
    /// How often a worker was ended, or Redis emptied.
    times: usize,
    values_us: Vec<u64>,
    /// The limit for the 99th percentile.
    goal: Option<Duration>,
}

/// Measures the figures whose words contain `FIGURES`, or all. Prints a table, and a last line that says which goals were
/// met. Exits with status 1 if a goal was missed.
pub(crate) async fn measure(setup: &Setup) -> anyhow::Result<()> {
    let wanted = std::env::var("FIGURES").unwrap_or_default();
    let wants = |words: &str| words.contains(&wanted);
    println!(
        "\n| take-over | ends | devices | p50 | p99 | max | goal (p99) |\n| --- | --- | --- | --- | --- | --- | --- |"
    );
    let mut verdicts = Vec::new();
    for (asked, ttl_ms, goal_s, short, words) in [
        (true, 15_000, 1, "SIGTERM", "SIGTERM: from the old socket's end to the new login"),
        (false, 15_000, 15 + 3, "SIGKILL at 15 s", "SIGKILL, leases of 15 s: the same"),
        (false, 4_000, 6, "SIGKILL at 4 s", "SIGKILL, leases of 4 s: the same"),
    ] {
        if wants(words) {
            let (times, found) = ends(setup, asked, ttl_ms).await?;
            let values_us = found.iter().map(|takeover| takeover.gap_us).collect();
            let figure = Figure { words, times, values_us, goal: Some(Duration::from_secs(goal_s)) };
            verdicts.push((short, figure.print()));
        }
    }
    let words = "Redis emptied: from FLUSHALL to the arrival of a message sent at once";
    if wants(words) {
        let values_us = emptied(setup).await?;
        let figure = Figure { words, times: values_us.len(), values_us, goal: Some(Duration::from_secs(5)) };
        verdicts.push(("Redis emptied", figure.print()));
    }
    let words = "SIGKILL of a worker with 1,000 accounts, two survivors, leases of 15 s: from the signal";
    if wants(words) {
        Figure { words, times: 1, values_us: many(setup).await?, goal: None }.print();
    }
    let words = "SIGKILL of a worker with 1,000 accounts that starts again in its place: from the signal";
    if wants(words) {
        let values_us = in_place(setup, MANY, Killed::Worker).await?;
        let figure = Figure { words, times: 1, values_us, goal: Some(Duration::from_secs(3)) };
        verdicts.push(("worker in its place", figure.print()));
    }
    let words = "SIGKILL of all parts and Redis with 200 accounts, all start again in their places: from the signal";
    if wants(words) {
        let values_us = in_place(setup, ALL, Killed::Everything).await?;
        let figure = Figure { words, times: 1, values_us, goal: Some(Duration::from_secs(2)) };
        verdicts.push(("all in their places", figure.print()));
    }

    let named = |met| {
        let names: Vec<&str> = verdicts.iter().filter(|(_, as_met)| *as_met == met).map(|(name, _)| *name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    println!("\ngoals met: {}; missed: {}", named(true), named(false));
    if verdicts.iter().any(|(_, met)| !met) {
        // every cluster is stopped by now; an error would mean that nothing was measured
        std::process::exit(1);
    }
    Ok(())
}

impl Figure {
    /// Prints the row. Returns whether the goal was met: true without a goal, and false without values.
    fn print(&self) -> bool {
        let s = |share| quantile(&self.values_us, share) as f64 / 1e6;
        let goal = self.goal.map_or_else(String::new, |goal| format!("{} s", goal.as_secs()));
        println!(
            "| {} | {} | {} | {:.2} s | {:.2} s | {:.2} s | {goal} |",
            self.words,
            self.times,
            self.values_us.len(),
            s(0.5),
            s(0.99),
            s(1.0)
        );
        self.goal.is_none_or(|goal| !self.values_us.is_empty() && s(0.99) <= goal.as_secs_f64())
    }
}

fn small(setup: &Setup, workers: usize, booted: usize, lease_ttl_ms: u64) -> Setup {
    Setup { workers, booted, lease_ttl_ms, skew_s: 0, ..setup.clone() }
}

/// Ends workers in turn, each at a random time between two heartbeats, until enough of them were ended and there were
/// enough take-overs. Returns how many were ended, and the take-overs.
async fn ends(setup: &Setup, asked: bool, lease_ttl_ms: u64) -> anyhow::Result<(usize, Vec<Takeover>)> {
    let cluster = Cluster::start(&small(setup, 2, 2, lease_ttl_ms)).await?;
    let people = gather(&cluster, ACCOUNTS).await?;
    let mut dice = StdRng::seed_from_u64(lease_ttl_ms + u64::from(asked));
    let heartbeat_s = Duration::from_millis(lease_ttl_ms).as_secs_f64() / 3.0;
    let mut ended = 0;
    let found = loop {
        tokio::time::sleep(Duration::from_secs_f64(dice.random_range(0.0..heartbeat_s))).await;
        let part = cluster.part(Who::Worker(ended % 2))?;
        let mut running = part.take().await;
        if let Some(running) = running.take() {
            if asked {
                running.stop(&cluster.journal).await;
            } else {
                running.kill(&cluster.journal).await;
            }
        }
        ended += 1;
        all_logged_in(&cluster, &people).await?;
        *running = Some(part.boot()?);
        part.ready().await?;
        drop(running);
        let found = takeovers(&devices(&cluster).await?, &cluster.journal.entries());
        if ended >= ENDS && found.len() >= TAKEOVERS {
            break found;
        }
        ensure!(ended < ENDS_MAX, "only {} take-overs after {ended} ends", found.len());
    };
    cluster.stop().await?;
    Ok((ended, found))
}

/// Repeatedly empties Redis and sends a message at once. Returns how long each message took.
async fn emptied(setup: &Setup) -> anyhow::Result<Vec<u64>> {
    let cluster = Cluster::start(&small(setup, 2, 2, 15_000)).await?;
    let people = gather(&cluster, 4).await?;
    let url = cluster.redis.lock().await.url();
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut took = Vec::new();
    for n in 0..EMPTIED {
        let Some(person) = people.get(n % people.len()) else { continue };
        let Some(chat) = person.chats.first() else { continue };
        redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
        let start = Instant::now();
        let text = format!("emptied {n}");
        let path = format!("/v1/accounts/{}/messages", person.account);
        cluster.gateway.demand(Method::POST, &path, Some(&json!({"to": chat.to, "text": text})), LIMIT).await?;
        loop {
            let inbox = cluster.phones.inbox(&chat.to).await?;
            if inbox.iter().any(|bubble| bubble["text"] == text.as_str()) {
                break;
            }
            ensure!(start.elapsed() < LIMIT, "a message never arrived after Redis was emptied");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        took.push(u64::try_from(start.elapsed().as_micros())?);
    }
    cluster.stop().await?;
    Ok(took)
}

/// Kills a worker that holds all accounts while two others run. Returns how long each device took to log in again.
async fn many(setup: &Setup) -> anyhow::Result<Vec<u64>> {
    let cluster = Cluster::start(&small(setup, 3, 1, 15_000)).await?;
    let people = gather(&cluster, MANY).await?;
    for n in [1, 2] {
        let part = cluster.part(Who::Worker(n))?;
        *part.take().await = Some(part.boot()?);
        part.ready().await?;
    }
    let part = cluster.part(Who::Worker(0))?;
    if let Some(running) = part.take().await.take() {
        running.kill(&cluster.journal).await;
    }
    all_logged_in(&cluster, &people).await?;
    let found = takeovers(&devices(&cluster).await?, &cluster.journal.entries());
    cluster.stop().await?;
    Ok(found.iter().map(|takeover| takeover.since_signal_us).collect())
}

/// What is killed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Killed {
    /// The worker.
    Worker,
    /// Every part, and Redis with its data.
    Everything,
}

/// Kills the only worker, or everything but Postgres, and starts it again at once. Returns how long each device took to
/// log in again.
async fn in_place(setup: &Setup, accounts: usize, killed: Killed) -> anyhow::Result<Vec<u64>> {
    let cluster = Cluster::start(&small(setup, 1, 1, 15_000)).await?;
    let people = gather(&cluster, accounts).await?;
    let parts: Vec<_> =
        cluster.parts.iter().filter(|part| killed == Killed::Everything || part.who == Who::Worker(0)).collect();
    for part in &parts {
        if let Some(running) = part.take().await.take() {
            running.kill(&cluster.journal).await;
        }
    }
    if killed == Killed::Everything {
        let mut redis = cluster.redis.lock().await;
        redis.kill();
        tokio::task::block_in_place(|| redis.restart());
    }
    for part in &parts {
        *part.take().await = Some(part.boot()?);
    }
    all_logged_in(&cluster, &people).await?;
    let found = takeovers(&devices(&cluster).await?, &cluster.journal.entries());
    cluster.stop().await?;
    Ok(found.iter().map(|takeover| takeover.since_signal_us).collect())
}

async fn gather(cluster: &Arc<Cluster>, accounts: usize) -> anyhow::Result<Vec<Person>> {
    let mut dice = StdRng::seed_from_u64(1);
    let people = People::gather(cluster, accounts, 0, 0, &mut dice).await?;
    Ok(people.steady)
}

async fn devices(cluster: &Cluster) -> anyhow::Result<Vec<Device>> {
    let audit = cluster.phones.audit().await?;
    Ok(serde_json::from_value(audit["devices"].clone())?)
}

/// Waits until every account's device has a socket.
async fn all_logged_in(cluster: &Cluster, people: &[Person]) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let open =
            devices(cluster).await?.iter().filter(|d| d.sockets.iter().any(|s| s.closed_at_us.is_none())).count();
        if open >= people.len() {
            return Ok(());
        }
        if start.elapsed() > LIMIT {
            bail!("only {open} of {} devices were back after {LIMIT:?}", people.len());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
