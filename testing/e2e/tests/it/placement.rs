//! Which worker holds which account: a rolling release moves each device once, and a worker that joins gets its share.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kit::until;
use reqwest::Method;
use serde_json::Value;
use sqlx::PgPool;

use e2e::Cluster;

/// How many accounts each live worker of a release holds, the highest number first.
async fn loads(cluster: &Cluster, release: &str) -> Vec<i64> {
    let loads = "SELECT count(l.account_id) FROM workers w LEFT JOIN leases l ON l.owner = w.id
                 WHERE w.stopped_at IS NULL AND w.release = $1 GROUP BY w.id ORDER BY 1 DESC";
    sqlx::query_scalar(loads).bind(release).fetch_all(&cluster.pool).await.unwrap()
}

async fn until_loads(cluster: &Cluster, release: &str, wanted: &[i64]) {
    until(wanted, async || (loads(cluster, release).await == wanted).then_some(())).await;
}

/// The number of logins of each device so far.
async fn logins(cluster: &Cluster) -> BTreeMap<String, usize> {
    let audit = cluster.admin(Method::GET, "/audit", None).await;
    let devices = audit["devices"].as_array().unwrap().iter();
    let of_device = |device: &Value| {
        let sockets = device["sockets"].as_array().unwrap().len();
        (device["number"].as_str().unwrap().to_owned(), sockets)
    };
    devices.map(of_device).collect()
}

async fn connected(cluster: &Cluster, accounts: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..accounts {
        ids.push(cluster.connected(&format!("Account {n}")).await.0);
    }
    ids
}

/// Three workers of release 1 are rolled to release 2 one by one, each new one before an old one stops, while every
/// account sends. Each device logs in exactly once more and never has two sockets at once. Every message arrives once,
/// and the load is even.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_rolling_release_moves_each_device_once(pool: PgPool) {
    let (cluster, old) = Cluster::start(pool, 3).await;
    let accounts = connected(&cluster, 12).await;
    until_loads(&cluster, "1", &[4, 4, 4]).await;
    let bob = cluster.phone("Bob").await;
    for account in &accounts {
        cluster.status(account, "connected").await; // even those that were handed over for balance
        cluster.send(account, &bob, &format!("before {account}")).await;
    }
    for account in &accounts {
        cluster.shows(&bob, &[&format!("before {account}")]).await;
    }
    let before = logins(&cluster).await;

    let mut new = Vec::new();
    for (step, worker) in old.into_iter().enumerate() {
        new.push(cluster.worker_with(&[("WORKER_RELEASE", "2")]));
        until("the new worker", async || (loads(&cluster, "2").await.len() == step + 1).then_some(())).await;
        for account in &accounts {
            cluster.send(account, &bob, &format!("step {step} {account}")).await;
        }
        worker.stop().await;
        let moved = 4 * (i64::try_from(step).unwrap() + 1);
        until("the move", async || (loads(&cluster, "2").await.iter().sum::<i64>() == moved).then_some(())).await;
    }
    for account in &accounts {
        let texts: Vec<String> = (0..3).map(|step| format!("step {step} {account}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let inbox = cluster.shows(&bob, &texts).await;
        assert!(inbox.iter().all(|m| m["times_arrived"] == 1), "{inbox:?}");
    }

    assert_eq!(loads(&cluster, "2").await, [4, 4, 4]);
    let sum = |logins: &BTreeMap<String, usize>| logins.values().sum::<usize>();
    let all = sum(&before) + before.len();
    until("the last logins", async || (sum(&logins(&cluster).await) >= all).then_some(())).await;
    let after = logins(&cluster).await;
    for (number, logins) in &before {
        assert_eq!(after[number], logins + 1, "one login more for each device: {before:?} {after:?}");
    }
    assert_eq!(cluster.overlaps().await, 0);
    cluster.stop(new).await;
}

/// A worker joins another one that holds everything. It gets half of the accounts, with one login more for each device
/// that moves, and sends for them from then on.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_joining_worker_gets_its_fair_share(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 1).await;
    let accounts = connected(&cluster, 12).await;
    let before = logins(&cluster).await;
    workers.push(cluster.worker());
    until_loads(&cluster, "1", &[6, 6]).await;
    let bob = cluster.phone("Bob").await;
    for account in &accounts {
        cluster.send(account, &bob, account).await;
    }
    for account in &accounts {
        cluster.shows(&bob, &[account.as_str()]).await;
    }
    let after = logins(&cluster).await;
    let more: usize = before.iter().map(|(number, logins)| after[number] - logins).sum();
    assert_eq!(more, 6, "only those that move log in again: {before:?} {after:?}");
    assert_eq!(loads(&cluster, "1").await, [6, 6]);
    assert_eq!(cluster.overlaps().await, 0);
    cluster.stop(workers).await;
}

/// Accounts come back no faster than the limit, and a pairing does not wait for it. A stop hands over no faster than
/// the limit either, but sessions that wait for their turn end at once.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn returning_accounts_wait_their_turn_and_a_stop_does_not(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 1).await;
    connected(&cluster, 10).await;
    let before: usize = logins(&cluster).await.values().sum();
    workers.remove(0).stop().await;

    let start = Instant::now();
    let slow = cluster.worker_with(&[("CONNECTS_PER_S", "1")]);
    let back = async || logins(&cluster).await.values().sum::<usize>() - before;
    until("three are back", async || (back().await >= 3).then_some(())).await;
    assert!(start.elapsed() >= Duration::from_millis(1_900), "three logins at one per second: {:?}", start.elapsed());
    cluster.connected("Newcomer").await;
    assert!(back().await < 11, "a person was served before those who return");

    let (online, stop) = (back().await, Instant::now());
    slow.stop().await;
    let most = Duration::from_secs(u64::try_from(online).unwrap() + 2);
    assert!(stop.elapsed() < most, "only those that are online take turns: {online} {:?}", stop.elapsed());
    assert_eq!(cluster.overlaps().await, 0);
    cluster.stop(vec![]).await;
}

/// The new release has hardly any room. What it can't take is left to it for the grace period; then an old worker takes
/// it.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_old_worker_takes_what_the_new_release_cannot(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 2).await;
    let accounts = connected(&cluster, 4).await;
    until_loads(&cluster, "1", &[2, 2]).await;
    workers.push(cluster.worker_with(&[("WORKER_RELEASE", "2"), ("WORKER_CAPACITY", "1")]));
    until("the new worker", async || (loads(&cluster, "2").await == [0]).then_some(())).await;
    let start = Instant::now();
    workers.remove(0).stop().await;
    until_loads(&cluster, "2", &[1]).await;
    until_loads(&cluster, "1", &[3]).await;
    assert!(start.elapsed() >= Duration::from_secs(5), "it was left to the new release first: {:?}", start.elapsed());
    for account in &accounts {
        cluster.status(account, "connected").await;
    }
    assert_eq!(cluster.overlaps().await, 0);
    cluster.stop(workers).await;
}
