//! Any worker takes over any account, in order and after a failure, without two sockets at once.

use std::time::{Duration, Instant};

use kit::until;
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use e2e::Cluster;

/// R02, R04, R61: a worker stops in order. Another one takes its account over from Postgres alone within moments, never
/// with two sockets, and sends what was queued meanwhile.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stopped_workers_account_moves(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    cluster.send(&account, &bob, "one").await;
    cluster.shows(&bob, &["one"]).await;

    let next = cluster.worker();
    workers.remove(0).stop().await;
    cluster.send(&account, &bob, "two").await;
    let inbox = cluster.shows(&bob, &["one", "two"]).await;
    assert!(inbox.iter().all(|m| m["times_arrived"] == 1), "{inbox:?}");
    cluster.status(&account, "connected").await;
    let phone = cluster.admin(Method::GET, &format!("/phones/{own}"), None).await;
    assert_eq!(phone["sockets_now"], 1);
    assert_eq!(cluster.overlaps().await, 0);
    cluster.stop(vec![next]).await;
}

/// R61: after a restart of everything, each account that should be online comes online by itself.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn sessions_are_restored_after_a_restart(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 1).await;
    let mut accounts = Vec::new();
    for n in 0..5 {
        accounts.push(cluster.connected(&format!("Account {n}")).await.0);
    }
    workers.remove(0).stop().await;
    let bob = cluster.phone("Bob").await;
    let next = cluster.worker();
    for (n, account) in accounts.iter().enumerate() {
        cluster.send(account, &bob, &format!("from {n}")).await;
        cluster.shows(&bob, &[&format!("from {n}")]).await;
        cluster.status(account, "connected").await;
    }
    assert_eq!(cluster.overlaps().await, 0);
    cluster.stop(vec![next]).await;
}

/// R02: a raised epoch fences the living owner. It closes its socket and writes nothing more.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_raised_epoch_fences_the_owner(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    // in one statement, or the worker claims the account again in between
    let raised = "WITH a AS (UPDATE accounts SET wanted = 'offline' WHERE id::text = $1 RETURNING id)
        UPDATE leases l SET epoch = epoch + 1, owner = NULL FROM a WHERE l.account_id = a.id";
    sqlx::query(raised).bind(&account).execute(&cluster.pool).await.unwrap();
    let start = Instant::now();
    until("a closed socket", async || {
        let phone = cluster.admin(Method::GET, &format!("/phones/{own}"), None).await;
        (phone["sockets_now"] == 0).then_some(())
    })
    .await;
    assert!(start.elapsed() < Duration::from_secs(20), "the keeper looks every third of the lease's life");
    let shown = cluster.get(&format!("/v1/accounts/{account}")).await;
    let nobody = "the worker that held its connection fell silent";
    assert_eq!(
        (&shown["status"], &shown["status_reason"]),
        (&json!("disconnected"), &json!(nobody)),
        "a fenced session writes nothing"
    );
    cluster.stop(workers).await;
}

/// A lost connection comes back by itself, and what was queued meanwhile goes out once.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_lost_connection_comes_back(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    cluster.admin(Method::POST, "/faults", Some(json!({"kind": "drop", "target": {"number": own}}))).await;
    cluster.send(&account, &bob, "after the drop").await;
    let inbox = cluster.shows(&bob, &["after the drop"]).await;
    assert_eq!(inbox[0]["times_arrived"], 1);
    cluster.status(&account, "connected").await;
    cluster.stop(workers).await;
}

/// R02: a claim without a session (its release failed, or the answer to the claim was lost) is given back by the
/// keeper. No other worker may take the account while the claiming worker is alive.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_claim_without_a_session_is_given_back(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let account = cluster.account("Ada").await;
    let orphan = "UPDATE leases SET owner = (SELECT id FROM workers) WHERE account_id::text = $1";
    sqlx::query(orphan).bind(&account).execute(&cluster.pool).await.unwrap();
    until("no owner", async || {
        let owned = "SELECT count(*) FROM leases WHERE owner IS NOT NULL";
        (sqlx::query_scalar::<_, i64>(owned).fetch_one(&cluster.pool).await.unwrap() == 0).then_some(())
    })
    .await;
    cluster.stop(workers).await;
}

/// R02, R61: a worker vanishes without notice (its tasks are dropped, its heartbeat ends). Another one takes its
/// account over when the lease has run out, and sends what waited.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_vanished_workers_account_is_taken_over(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 1).await;
    let (account, _) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    workers.remove(0).vanish();
    let next = cluster.worker();
    cluster.send(&account, &bob, "after the crash").await;
    let inbox = cluster.shows(&bob, &["after the crash"]).await;
    assert_eq!(inbox.len(), 1);
    cluster.status(&account, "connected").await;
    cluster.stop(vec![next]).await;
}

/// R111: a worker that crashed starts again in its place. It serves its accounts long before their leases run out: the
/// lock on its name shows that its former boot is dead. What was queued meanwhile goes out once.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_worker_that_starts_in_its_place_takes_its_accounts_back_at_once(pool: PgPool) {
    let lease = Duration::from_mins(5);
    let same = [("WORKER_NAME", "worker-a")];
    let (mut cluster, _) = Cluster::start(pool, 0).await;
    cluster.set("LEASE_TTL_MS", &lease.as_millis().to_string());
    let mut worker = cluster.worker_with(&same);
    let (account, own) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    for crash in ["a first crash", "a second crash"] {
        worker.vanish();
        cluster.send(&account, &bob, crash).await;
        worker = cluster.worker_with(&same);
        until(crash, async || cluster.inbox(&bob).await.iter().any(|m| m["text"] == crash).then_some(())).await;
    }
    let inbox = cluster.shows(&bob, &["a first crash", "a second crash"]).await;
    assert!(inbox.iter().all(|m| m["times_arrived"] == 1), "{inbox:?}");
    cluster.status(&account, "connected").await;
    let phone = cluster.admin(Method::GET, &format!("/phones/{own}"), None).await;
    assert_eq!(phone["sockets_now"], 1);
    cluster.stop(vec![worker]).await;
}

/// R111: two workers with one name. The second one does not get the lock, and leaves the accounts of the first one
/// alone.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_living_worker_of_the_same_name_keeps_its_accounts(pool: PgPool) {
    let same = [("WORKER_NAME", "worker-a")];
    let (cluster, _) = Cluster::start(pool, 0).await;
    let first = cluster.worker_with(&same);
    let (account, _) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let lease = "SELECT owner::text || ' ' || epoch FROM leases WHERE account_id::text = $1";
    let owner = async || sqlx::query_scalar::<_, String>(lease).bind(&account).fetch_one(&cluster.pool).await.unwrap();
    let before = owner().await;
    let second = cluster.worker_with(&same);
    until("both workers", async || {
        let alive = "SELECT count(*) FROM workers w WHERE is_alive(w)";
        (sqlx::query_scalar::<_, i64>(alive).fetch_one(&cluster.pool).await.unwrap() == 2).then_some(())
    })
    .await;
    cluster.send(&account, &bob, "still here").await;
    cluster.shows(&bob, &["still here"]).await;
    assert_eq!(owner().await, before);
    assert_eq!(cluster.overlaps().await, 0);
    second.vanish(); // it never had the lock, so nothing of the first one is given back later
    let third = cluster.worker_with(&same);
    until("the third worker", async || {
        let started = "SELECT count(*) FROM workers";
        (sqlx::query_scalar::<_, i64>(started).fetch_one(&cluster.pool).await.unwrap() == 3).then_some(())
    })
    .await;
    cluster.send(&account, &bob, "and here").await;
    cluster.shows(&bob, &["still here", "and here"]).await;
    assert_eq!(owner().await, before);
    cluster.stop(vec![first, third]).await;
}
