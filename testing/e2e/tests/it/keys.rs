//! Changing the keys that seal credentials while accounts are live.

use std::sync::Arc;

use e2e::Cluster;
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use store::seal::Sealer;
use store::{Store, keys};
use tokio_util::sync::CancellationToken;
use worker::keys::Misfit;

const OLD: &str = kit::CREDENTIAL_KEYS;
const NEW: &str = "2:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// R04: the procedure of an operator from the old key to the new one. The account is live all the time, every message
/// goes out once, and nothing is left under the old key. A worker with only the new key continues the session.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_key_is_changed_while_the_account_is_live(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 1).await;
    let (account, _) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    // every worker can open with the new key before any worker seals with it
    for order in [format!("{OLD},{NEW}"), format!("{NEW},{OLD}")] {
        let next = cluster.worker_with(&[("CREDENTIAL_KEYS", &order)]);
        workers.remove(0).stop().await;
        workers.push(next);
    }
    cluster.send(&account, &bob, "before").await;
    cluster.shows(&bob, &["before"]).await;

    let store = Store::from(cluster.pool.clone());
    let rotating = store.clone();
    let sealer = Arc::new(Sealer::parse(&format!("{NEW},{OLD}")).unwrap());
    let rotation = tokio::spawn(async move {
        let stop = CancellationToken::new();
        worker::keys::rotate::rotate(rotating.for_all_tenants(), &sealer, 3, &stop, |_| ()).await.unwrap()
    });
    let texts: Vec<String> = (0..20).map(|n| format!("text {n}")).collect();
    for text in &texts {
        cluster.send(&account, &bob, text).await;
    }
    let summary = rotation.await.unwrap();
    assert!(summary.complete(), "{summary}");
    assert!(summary.done > 0);
    assert_eq!(keys::in_use(store.for_all_tenants()).await.unwrap(), ["2"]);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    cluster.shows(&bob, &texts).await;

    let last = cluster.worker_with(&[("CREDENTIAL_KEYS", NEW)]);
    workers.remove(0).stop().await;
    cluster.send(&account, &bob, "after").await;
    let inbox = cluster.shows(&bob, &["after"]).await;
    assert!(inbox.iter().all(|m| m["times_arrived"] == 1), "{inbox:?}");
    cluster.status(&account, "connected").await;
    assert_eq!(cluster.overlaps().await, 0);
    cluster.stop(vec![last]).await;
}

/// R04: an operator rotated before every worker had the new key. A worker that meets a record under it changes neither
/// account nor credentials, gives all its accounts back, and ends with the name of the key. A worker that has the key
/// goes on.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_worker_that_meets_an_unknown_key_stops(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 1).await;
    let (ada, phone) = cluster.connected("Ada").await;
    let (eve, _) = cluster.connected("Eve").await;
    let bob = cluster.phone("Bob").await;
    let sealer = Sealer::parse(&format!("{NEW},{OLD}")).unwrap();
    let store = Store::from(cluster.pool.clone());
    worker::keys::rotate::rotate(store.for_all_tenants(), &sealer, 500, &CancellationToken::new(), |_| ())
        .await
        .unwrap();
    let records = "SELECT count(*) FROM credentials";
    let before: i64 = sqlx::query_scalar(records).fetch_one(&cluster.pool).await.unwrap();

    cluster.admin(Method::POST, "/faults", Some(json!({"kind": "drop", "target": {"number": phone}}))).await;
    let error = workers.remove(0).end().await.unwrap_err();
    assert!(error.is::<Misfit>(), "{error:#}");
    let said = error.to_string();
    assert!(said.contains("sealed under key `2`, which is not configured"), "{said}");
    let owned = "SELECT count(*) FROM leases WHERE owner IS NOT NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(owned).fetch_one(&cluster.pool).await.unwrap(), 0, "all were given back");
    let after: i64 = sqlx::query_scalar(records).fetch_one(&cluster.pool).await.unwrap();
    assert!(after >= before, "records were lost: {before}, then {after}");
    for account in [&ada, &eve] {
        let now = cluster.get(&format!("/v1/accounts/{account}")).await;
        assert!(now["status"] == "connected" || now["status"] == "disconnected", "{now}");
        assert!(now["phone_number"].is_string(), "{now}");
    }

    let next = cluster.worker_with(&[("CREDENTIAL_KEYS", &format!("{NEW},{OLD}"))]);
    for (account, text) in [(&ada, "from Ada"), (&eve, "from Eve")] {
        cluster.send(account, &bob, text).await;
        cluster.shows(&bob, &[text]).await;
        cluster.status(account, "connected").await;
    }
    cluster.stop(vec![next]).await;
}
