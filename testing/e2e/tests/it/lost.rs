//! What a person sees if every worker is gone (R90): no account reads `connected`, and an event says so.

use std::time::{Duration, Instant};

use kit::until;
use serde_json::{Value, json};
use sqlx::PgPool;

use e2e::Cluster;

/// The lease's life in the tests, and five seconds.
const KNOWN: Duration = Duration::from_secs(3 + 5);

async fn told(cluster: &Cluster) -> Vec<Value> {
    let all = "SELECT data FROM events WHERE kind = 'account.status_changed' AND data->>'status' = 'disconnected'";
    sqlx::query_scalar(all).fetch_all(&cluster.pool).await.unwrap()
}

/// R90: all workers are killed. Within the lease's life and five seconds the account reads `disconnected` with a
/// reason, the dashboard and `/health` agree, and there is one event. A new worker brings the account back.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_killed_workers_account_is_disconnected(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 1).await;
    let (account, _) = cluster.connected("Ada").await;
    let health = cluster.get("/health").await;
    assert_eq!((&health["status"], &health["sessions"]["connected"]), (&json!("ok"), &json!(1)), "{health}");
    for part in ["postgres", "redis", "workers", "schedulers"] {
        assert_eq!(health["parts"][part]["status"], "ok", "{health}");
        assert!(health["parts"][part]["last_seen_at"].is_string(), "{health}");
    }
    let start = Instant::now();
    workers.remove(0).vanish();
    cluster.status(&account, "disconnected").await;
    assert!(start.elapsed() < KNOWN, "{:?}", start.elapsed());
    until("the event", async || (!told(&cluster).await.is_empty()).then_some(())).await;
    assert!(start.elapsed() < KNOWN, "{:?}", start.elapsed());
    let shown = cluster.get(&format!("/v1/accounts/{account}")).await;
    assert_eq!(shown["status_reason"], "the worker that held its connection fell silent");
    assert_eq!(shown["waiting"]["reason"], "offline");
    let dashboard = cluster.get("/v1/dashboard").await;
    assert_eq!(dashboard["accounts"]["by_status"]["connected"], 0, "{dashboard}");
    let health = cluster.get("/health").await;
    assert_eq!((&health["status"], &health["sessions"]["connected"]), (&json!("degraded"), &json!(0)), "{health}");
    assert_eq!(
        (&health["parts"]["workers"]["status"], &health["parts"]["workers"]["live"]),
        (&json!("down"), &json!(0))
    );
    let next = cluster.worker();
    cluster.status(&account, "connected").await;
    assert_eq!(told(&cluster).await.len(), 1);
    cluster.stop(vec![next]).await;
}

/// R90: even without a scheduler the account does not read `connected`. A scheduler that starts later writes the event.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_scheduler_that_comes_later_tells_it(pool: PgPool) {
    let (mut cluster, mut workers) = Cluster::start(pool, 1).await;
    let (account, _) = cluster.connected("Ada").await;
    let scheduler = cluster.parts.remove(1);
    scheduler.stop().await;
    workers.remove(0).vanish();
    cluster.status(&account, "disconnected").await;
    assert!(told(&cluster).await.is_empty());
    let health = cluster.get("/health").await;
    assert_eq!(health["parts"]["schedulers"]["status"], "down", "{health}");
    let scheduler = cluster.scheduler();
    until("the event", async || (!told(&cluster).await.is_empty()).then_some(())).await;
    scheduler.stop().await;
    cluster.stop(workers).await;
}
