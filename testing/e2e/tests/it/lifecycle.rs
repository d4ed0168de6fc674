//! Unpair, pair again, delete: where the earlier systems failed.

use std::time::Duration;

use kit::until;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use e2e::Cluster;

async fn devices(cluster: &Cluster, number: &str) -> Vec<Value> {
    let phone = cluster.admin(Method::GET, &format!("/phones/{number}"), None).await;
    phone["linked_devices"].as_array().unwrap().clone()
}

async fn sockets(cluster: &Cluster, number: &str) -> u64 {
    cluster.admin(Method::GET, &format!("/phones/{number}"), None).await["sockets_now"].as_u64().unwrap()
}

/// R12, R14, R15, R16, R17: unpair closes the socket, keeps the row, and the status stays `unpaired`. No logout is
/// called, and a second unpair succeeds. R11: the account is paired again without entering anything again. R14: delete
/// logs the device out on the phone.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn unpair_pair_again_and_delete(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 2).await;
    let (account, own) = cluster.connected("Ada").await;
    let unpaired = cluster.post(&format!("/v1/accounts/{account}/unpair"), json!({})).await;
    assert_eq!(
        (&unpaired["status"], &unpaired["already_disconnected"]),
        (&json!("unpaired"), &json!(false)),
        "{unpaired}"
    );
    until("a closed socket", async || (sockets(&cluster, &own).await == 0).then_some(())).await;
    // the close event has arrived by now; it must neither overwrite the status nor open a connection
    tokio::time::sleep(Duration::from_millis(500)).await;
    let now = cluster.get(&format!("/v1/accounts/{account}")).await;
    assert_eq!((&now["status"], &now["phone_number"]), (&json!("unpaired"), &Value::Null));
    assert_eq!(sockets(&cluster, &own).await, 0);
    assert_eq!(devices(&cluster, &own).await.len(), 1, "unpair never logs out");
    let again = cluster.post(&format!("/v1/accounts/{account}/unpair"), json!({})).await;
    assert_eq!(again["already_disconnected"], true);
    let (status, problem) = cluster
        .call(Method::POST, &format!("/v1/accounts/{account}/messages"), Some(json!({"to": own, "text": "x"})))
        .await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");

    cluster.pair(&account, &own).await;
    assert_eq!(cluster.get(&format!("/v1/accounts/{account}")).await["phone_number"], own.as_str());
    let before = devices(&cluster, &own).await.len();

    let (status, _) = cluster.call(Method::DELETE, &format!("/v1/accounts/{account}"), None).await;
    assert!(status.is_success());
    let (status, _) = cluster.call(Method::GET, &format!("/v1/accounts/{account}"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    until("the device off the phone", async || (devices(&cluster, &own).await.len() == before - 1).then_some(())).await;
    until("the row's end", async || {
        let rows =
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM accounts").fetch_one(&cluster.pool).await.unwrap();
        (rows == 0).then_some(())
    })
    .await;
    assert_eq!(cluster.overlaps().await, 0);
    cluster.stop(workers).await;
}

/// R91: a logout removes the device from the phone, and the answer says so. The account stays with its reminders, and
/// queued messages end. Without a worker that can do it the account is unlinked nevertheless, and the answer says so as
/// well.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_logout_leaves_no_ghost(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let out = cluster.post(&format!("/v1/accounts/{account}/logout"), json!({})).await;
    assert_eq!(out, json!({"status": "unpaired", "confirmed": true, "advice": null}));
    assert_eq!(devices(&cluster, &own).await.len(), 0, "the phone lists it no more");
    let now = cluster.get(&format!("/v1/accounts/{account}")).await;
    assert_eq!((&now["status"], &now["phone_number"]), (&json!("unpaired"), &Value::Null));
    let again = cluster.post(&format!("/v1/accounts/{account}/logout"), json!({})).await;
    assert_eq!(again, json!({"status": "unpaired", "confirmed": false, "advice": null}), "there was nothing to do");

    cluster.pair(&account, &own).await;
    workers.remove(0).vanish();
    let bob = cluster.phone("Bob").await;
    let queued = cluster.send(&account, &bob, "too late").await;
    let out = cluster.post(&format!("/v1/accounts/{account}/logout"), json!({})).await;
    assert_eq!((&out["status"], &out["confirmed"]), (&json!("unpaired"), &json!(false)), "{out}");
    assert!(out["advice"].as_str().is_some_and(|words| words.contains("Linked devices")), "{out}");
    let ended = cluster.get(&format!("/v1/messages/{queued}")).await;
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("canceled"), &json!("the account was logged out")));
    cluster.stop(workers).await;
}

/// R27: pairing again during an attempt stops the old attempt. Its code does not work any more; the new one does.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_second_attempt_replaces_the_first(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 2).await;
    let own = cluster.phone("Ada").await;
    let account = cluster.account("Front desk").await;
    cluster.post(&format!("/v1/accounts/{account}/pair"), json!({})).await;
    let old = cluster.qr(&account).await;
    cluster.post(&format!("/v1/accounts/{account}/pair"), json!({})).await;
    let new = until("another code", async || Some(cluster.qr(&account).await).filter(|code| *code != old)).await;
    let (status, _) = cluster.scan(&own, &old).await;
    assert!(status.is_client_error(), "the old code still pairs: {status}");
    let (status, text) = cluster.scan(&own, &new).await;
    assert!(status.is_success(), "{text}");
    cluster.status(&account, "connected").await;
    cluster.stop(workers).await;
}

/// R26: a 515 before the scan does not end the pairing. Another code is shown, and pairing with it works.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_restart_before_the_scan_goes_on(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let own = cluster.phone("Ada").await;
    let account = cluster.account("Front desk").await;
    cluster.post(&format!("/v1/accounts/{account}/pair"), json!({})).await;
    let old = cluster.qr(&account).await;
    cluster.admin(Method::POST, "/faults", Some(json!({"kind": "stream_error", "code": 515}))).await;
    let new = until("another code", async || Some(cluster.qr(&account).await).filter(|code| *code != old)).await;
    let (status, text) = cluster.scan(&own, &new).await;
    assert!(status.is_success(), "{text}");
    cluster.status(&account, "connected").await;
    cluster.stop(workers).await;
}

/// R18, R25: a first pairing whose connection is lost ends as `unpaired` with an event, and never starts again by
/// itself.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_first_pairing_never_loops(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let account = cluster.account("Front desk").await;
    cluster.post(&format!("/v1/accounts/{account}/pair"), json!({})).await;
    cluster.qr(&account).await;
    cluster.admin(Method::POST, "/faults", Some(json!({"kind": "drop"}))).await;
    cluster.status(&account, "unpaired").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let now = cluster.get(&format!("/v1/accounts/{account}")).await;
    assert_eq!(now["status"], "unpaired", "{now}");
    let (status, ..) = cluster.raw(&format!("/v1/accounts/{account}/qr")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let told = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM events WHERE kind = 'session.timeout'");
    assert_eq!(told.fetch_one(&cluster.pool).await.unwrap(), 1);
    cluster.stop(workers).await;
}

/// R29, R16: a phone is scanned that another account of the tenant is linked with. The other account keeps working. The
/// new one is `unpaired` without a number, its device is removed from the phone, and the event names the other account.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_phone_is_linked_once_per_tenant(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (original, own) = cluster.connected("Front desk").await;
    let second = cluster.account("Back office").await;
    cluster.post(&format!("/v1/accounts/{second}/pair"), json!({})).await;
    let code = cluster.qr(&second).await;
    assert!(cluster.scan(&own, &code).await.0.is_success());
    cluster.status(&second, "unpaired").await;
    let now = cluster.get(&format!("/v1/accounts/{second}")).await;
    assert_eq!(now["phone_number"], Value::Null);
    until("one device", async || (devices(&cluster, &own).await.len() == 1).then_some(())).await;
    let label =
        sqlx::query_scalar::<_, String>("SELECT data->>'duplicate_of' FROM events WHERE kind = 'session.duplicate'");
    assert_eq!(label.fetch_one(&cluster.pool).await.unwrap(), "Front desk");
    let id = "SELECT data->>'duplicate_of_id' FROM events WHERE kind = 'session.duplicate'";
    assert_eq!(sqlx::query_scalar::<_, String>(id).fetch_one(&cluster.pool).await.unwrap(), original);
    assert_eq!(cluster.get(&format!("/v1/accounts/{original}")).await["status"], "connected");
    cluster.stop(workers).await;
}

/// R21: every step leaves an audit entry with who did it, the label and the outcome.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn every_step_is_audited(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, _) = cluster.connected("Ada").await;
    cluster.post(&format!("/v1/accounts/{account}/unpair"), json!({})).await;
    let rows = sqlx::query_as::<_, (String, Option<String>, Option<String>, String)>(
        "SELECT action, operator, account_label, outcome FROM audit WHERE account_id::text = $1 ORDER BY created_at, id",
    )
    .bind(&account)
    .fetch_all(&cluster.pool)
    .await
    .unwrap();
    assert!(
        rows.iter().all(|(_, operator, label, outcome)| operator.is_some()
            && label.as_deref() == Some("Ada")
            && !outcome.is_empty()),
        "{rows:?}"
    );
    for action in ["create", "pair", "unpair"] {
        assert!(rows.iter().any(|row| row.0 == action), "{action}: {rows:?}");
    }
    cluster.stop(workers).await;
}

/// The phone's owner removes the device. The account is `logged_out` with a reason, and no connection is opened again.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_device_removed_on_the_phone_is_logged_out(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let device = devices(&cluster, &own).await[0]["device"].as_u64().unwrap();
    cluster.admin(Method::DELETE, &format!("/phones/{own}/devices/{device}"), None).await;
    cluster.status(&account, "logged_out").await;
    until("the end of its credentials", async || {
        let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM credentials");
        (left.fetch_one(&cluster.pool).await.unwrap() == 0).then_some(())
    })
    .await;
    cluster.stop(workers).await;
}
