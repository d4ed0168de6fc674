//! A session that is restarted again and again (R62): what its tenant and the operators see.

use kit::until;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use e2e::{Cluster, Part};

const GAUGE: &str = "switchboard_sessions_unstable";

/// The events of a kind, oldest first.
async fn events(cluster: &Cluster, kind: &str) -> Vec<Value> {
    let rows = "SELECT data FROM events WHERE kind = $1 ORDER BY id";
    sqlx::query_scalar(rows).bind(kind).fetch_all(&cluster.pool).await.unwrap()
}

async fn gauge(worker: &Part) -> i64 {
    let (_, metrics) = worker.health("/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(GAUGE)?.trim().parse().ok());
    line.unwrap_or_else(|| panic!("no {GAUGE} in {metrics}"))
}

/// R62: WhatsApp ends the connection five times in a row. The tenant gets one event `session.unstable` with the count.
/// The account's reason says so while it goes on, and the gauge counts the account. After a steady minute there is the
/// event `session.recovered`, and the reason is empty again. R60: a worker and an api are still alive after they have
/// been up for longer than a loop may be silent.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_unstable_session_is_told_and_so_is_its_recovery(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let path = format!("/v1/accounts/{account}");
    let end = json!({"kind": "stream_error", "code": 515, "target": {"number": own}});
    for restart in 1..=5 {
        assert!(events(&cluster, "session.unstable").await.is_empty(), "told before restart {restart}");
        assert_eq!(gauge(&workers[0]).await, 0);
        let sockets = cluster.sockets(&own).await.len();
        cluster.admin(Method::POST, "/faults", Some(end.clone())).await;
        if restart < 5 {
            until(restart, async || (cluster.sockets(&own).await.len() > sockets).then_some(())).await;
        }
    }
    let told = until("session.unstable", async || {
        let told = events(&cluster, "session.unstable").await;
        (!told.is_empty()).then_some(told)
    })
    .await;
    let reason = "WhatsApp asked for a new connection";
    assert_eq!(told, [json!({"account_id": account, "restarts": 5, "reason": reason})]);
    let now = cluster.get(&path).await;
    assert_eq!(now["status"], "disconnected", "{now}");
    assert_eq!(now["status_reason"], format!("restarted 5 times in a row: {reason}"));
    assert_eq!(gauge(&workers[0]).await, 1);

    cluster.status(&account, "connected").await;
    let now = cluster.get(&path).await;
    assert_eq!(now["status_reason"], "restarted 5 times in a row");
    assert_eq!(gauge(&workers[0]).await, 1, "it is connected, but not steady yet");
    assert!(events(&cluster, "session.recovered").await.is_empty());

    // a minute, which is longer than any other wait here
    tokio::time::sleep(std::time::Duration::from_secs(45)).await;
    let told = until("session.recovered", async || {
        let told = events(&cluster, "session.recovered").await;
        (!told.is_empty()).then_some(told)
    })
    .await;
    assert_eq!(told, [json!({"account_id": account, "restarts": 5})]);
    let now = cluster.get(&path).await;
    assert_eq!((&now["status"], &now["status_reason"]), (&json!("connected"), &Value::Null));
    assert_eq!(gauge(&workers[0]).await, 0);
    assert_eq!(events(&cluster, "session.unstable").await.len(), 1);
    assert_eq!(workers[0].health("/livez").await.0, 200);
    assert_eq!(cluster.parts[0].health("/livez").await.0, 200);
    cluster.stop(workers).await;
}
