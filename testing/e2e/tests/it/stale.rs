//! Sessions that are reported as connected but are not (R62): found within a minute, reported, restarted.

use std::time::{Duration, Instant};

use kit::Line;
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use e2e::Cluster;

/// A dead session is found, reported and opened again within this time.
const FOUND: Duration = Duration::from_secs(60);

/// Waits until the account has been reported as disconnected, with a reason and an event, after the connection fell
/// silent.
async fn reported(cluster: &Cluster, account: &str, since: Instant) {
    let told = "SELECT data->>'reason' FROM events WHERE kind = 'account.status_changed' \
                AND account_id::text = $1 AND data->>'status' = 'disconnected'";
    loop {
        let reason =
            sqlx::query_scalar::<_, Option<String>>(told).bind(account).fetch_optional(&cluster.pool).await.unwrap();
        if let Some(reason) = reason {
            assert!(reason.is_some_and(|words| !words.is_empty()), "it says why");
            return;
        }
        assert!(since.elapsed() < FOUND, "a dead session was not found within a minute");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// R62, R63: an idle session on a half-open connection. Nothing is sent, nothing arrives, and no end of the connection
/// is seen.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_idle_session_on_a_silent_line_is_found(pool: PgPool) {
    let (cluster, workers) = Cluster::start_on_a_line(pool).await;
    let (account, _) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let line = cluster.line.as_ref().unwrap();
    let start = Instant::now();
    line.set(Line::Silent);
    reported(&cluster, &account, start).await;
    line.set(Line::Through);
    let id = cluster.send(&account, &bob, "after the silence").await;
    cluster.message(&id, "read").await;
    cluster.status(&account, "connected").await;
    cluster.stop(workers).await;
}

/// R62, R63: a session that is connected but gets no acknowledgement is restarted by itself. The waiting messages go
/// out and are shown once.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_session_without_acknowledgements_is_restarted(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let warm = cluster.send(&account, &bob, "before").await;
    cluster.message(&warm, "read").await;
    let start = Instant::now();
    cluster.admin(Method::POST, "/faults", Some(json!({"kind": "silence", "target": {"number": own}}))).await;
    let id = cluster.send(&account, &bob, "into the silence").await;
    reported(&cluster, &account, start).await;
    cluster.message(&id, "read").await;
    assert!(start.elapsed() < FOUND, "restarted within a minute");
    let inbox = cluster.inbox(&bob).await;
    assert_eq!(inbox.len(), 2, "{inbox:?}");
    cluster.stop(workers).await;
}

/// R62: a connection that is accepted but never answers is given up, reported, and opened anew.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_login_that_never_answers_is_given_up(pool: PgPool) {
    let (cluster, workers) = Cluster::start_on_a_line(pool).await;
    let (account, _) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let line = cluster.line.as_ref().unwrap();
    let start = Instant::now();
    line.set(Line::Silent);
    line.reset();
    reported(&cluster, &account, start).await;
    line.set(Line::Through);
    let id = cluster.send(&account, &bob, "after all").await;
    cluster.message(&id, "read").await;
    assert!(start.elapsed() < FOUND);
    cluster.stop(workers).await;
}

/// R61: a worker that stops waits for outstanding acknowledgements, so that the next worker sends nothing twice.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stopped_worker_finishes_its_sends(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let warm = cluster.send(&account, &bob, "before").await;
    cluster.message(&warm, "read").await;
    let late = json!({"kind": "delay", "scope": "acks", "ms": 1_000, "target": {"number": own}});
    cluster.admin(Method::POST, "/faults", Some(late)).await;
    let id = cluster.send(&account, &bob, "on its way").await;
    cluster.shows(&bob, &["on its way"]).await;
    workers.remove(0).stop().await;
    let state = cluster.get(&format!("/v1/messages/{id}")).await["state"].clone();
    assert!(["sent", "delivered", "read"].iter().any(|word| state == *word), "{state}");
    let next = cluster.worker();
    let after = cluster.send(&account, &bob, "after").await;
    cluster.message(&after, "read").await;
    let inbox = cluster.inbox(&bob).await;
    assert!(inbox.iter().all(|message| message["times_arrived"] == 1), "{inbox:?}");
    cluster.stop(vec![next]).await;
}
