//! The figures of take-overs in `docs/reliability.md`, each on a cluster of its own, without other faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::json;

use crate::check::Device;
use crate::cluster::{Cluster, Setup, ready};
use crate::people::{People, Person};
use crate::plan::Who;
use crate::takeover::{Takeover, quantile, takeovers};

/// Take-overs of each kind, at the least.
const TAKEOVERS: usize = 50;
/// Accounts of the clusters in which workers are stopped and killed.
const ACCOUNTS: usize = 60;
/// Accounts of the worker in the last figure.
const MANY: usize = 1_000;
/// Times that Redis is emptied.
const EMPTIED: usize = 50;
/// Longer than anything measured here should take.
const LIMIT: Duration = Duration::from_secs(180);

/// Measures all of them and prints a table.
pub(crate) async fn measure(setup: &Setup) -> anyhow::Result<()> {
    println!("\n| take-over | devices | p50 | p99 | max |\n| --- | --- | --- | --- | --- |");
    for (asked, ttl_ms, words) in [
        (true, 15_000, "SIGTERM: from the old socket's end to the new login"),
        (false, 15_000, "SIGKILL, leases of 15 s: the same"),
        (false, 4_000, "SIGKILL, leases of 4 s: the same"),
    ] {
        let found = ends(setup, asked, ttl_ms).await?;
        row(words, &found.iter().map(|takeover| takeover.gap_us).collect::<Vec<_>>());
    }
    row("Redis emptied: from FLUSHALL to the arrival of a message sent at once", &emptied(setup).await?);
    let many = many(setup).await?;
    row("SIGKILL of a worker with 1,000 accounts, two survivors, leases of 15 s: from the signal", &many);
    Ok(())
}

fn row(words: &str, values: &[u64]) {
    let s = |share| quantile(values, share) as f64 / 1e6;
    println!("| {words} | {} | {:.2} s | {:.2} s | {:.2} s |", values.len(), s(0.5), s(0.99), s(1.0));
}

fn small(setup: &Setup, workers: usize, booted: usize, lease_ttl_ms: u64) -> Setup {
    Setup { workers, booted, lease_ttl_ms, skew_s: 0, ..setup.clone() }
}

/// Ends workers in turn until enough devices have changed hands.
async fn ends(setup: &Setup, asked: bool, lease_ttl_ms: u64) -> anyhow::Result<Vec<Takeover>> {
    let cluster = Cluster::start(&small(setup, 2, 2, lease_ttl_ms)).await?;
    let people = gather(&cluster, ACCOUNTS).await?;
    let mut turn = 0;
    let found = loop {
        let part = cluster.part(Who::Worker(turn % 2))?;
        let mut running = part.take().await;
        if let Some(running) = running.take() {
            if asked {
                running.stop(&cluster.journal).await;
            } else {
                running.kill(&cluster.journal).await;
            }
        }
        all_logged_in(&cluster, &people).await?;
        *running = Some(part.boot()?);
        ready(part).await?;
        drop(running);
        let found = takeovers(&devices(&cluster).await?, &cluster.journal.entries());
        if found.len() >= TAKEOVERS {
            break found;
        }
        turn += 1;
        ensure!(turn < 20, "only {} take-overs after {turn} ends", found.len());
    };
    cluster.stop().await?;
    Ok(found)
}

/// Empties Redis and sends at once, over and over.
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
            let inbox = cluster.phones.call(Method::GET, &format!("/phones/{}/inbox", chat.to), None).await?;
            if inbox.as_array().is_some_and(|inbox| inbox.iter().any(|bubble| bubble["text"] == text.as_str())) {
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

/// One worker holds all accounts; two others are up when it is killed.
async fn many(setup: &Setup) -> anyhow::Result<Vec<u64>> {
    let cluster = Cluster::start(&small(setup, 3, 1, 15_000)).await?;
    let people = gather(&cluster, MANY).await?;
    for n in [1, 2] {
        let part = cluster.part(Who::Worker(n))?;
        *part.take().await = Some(part.boot()?);
        ready(part).await?;
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

async fn gather(cluster: &Arc<Cluster>, accounts: usize) -> anyhow::Result<Vec<Person>> {
    let mut dice = StdRng::seed_from_u64(1);
    let people = People::gather(cluster, accounts, 0, 0, &mut dice).await?;
    Ok(people.steady)
}

async fn devices(cluster: &Cluster) -> anyhow::Result<Vec<Device>> {
    let audit = cluster.phones.call(Method::GET, "/audit", None).await?;
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
