//! WhatsApp's passkey gate, between the scan and the link.

use kit::until;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use e2e::Cluster;

/// A pairing after the scan, at the passkey gate.
async fn gated(cluster: &Cluster, gate: Value) -> (String, String) {
    let number = cluster.phone("Ada").await;
    let account = cluster.account("Ada").await;
    cluster.admin(Method::POST, "/faults", Some(gate)).await;
    cluster.post(&format!("/v1/accounts/{account}/pair"), json!({"method": "qr"})).await;
    let waiting = cluster.get(&format!("/v1/accounts/{account}")).await;
    assert_eq!(waiting["pairing"], json!({"step": "qr", "advice": null}));
    let code = cluster.qr(&account).await;
    assert_eq!(cluster.scan(&number, &code).await.0, StatusCode::ACCEPTED);
    (account, number)
}

/// Waits until the pairing waits for a passkey and has this field. Returns the pairing.
async fn at_the_gate(cluster: &Cluster, account: &str, field: &str) -> Value {
    until(field, async || {
        let pairing = cluster.get(&format!("/v1/accounts/{account}/pairing")).await;
        assert_eq!(pairing["status"], "pending", "{pairing}");
        (pairing["step"] == "passkey" && !pairing[field].is_null()).then_some(pairing)
    })
    .await
}

async fn present(cluster: &Cluster, account: &str, credential: Value) -> (StatusCode, Value) {
    cluster.call(Method::POST, &format!("/v1/accounts/{account}/pair/passkey"), Some(credential)).await
}

async fn events(cluster: &Cluster, kind: &str) -> Vec<Value> {
    let sql = "SELECT data FROM events WHERE kind = $1 ORDER BY txid, id";
    sqlx::query_scalar(sql).bind(kind).fetch_all(&cluster.pool).await.unwrap()
}

/// The reason of a pairing that ended at the gate, as in the row and in the event.
async fn ended(cluster: &Cluster, account: &str) -> String {
    cluster.status(account, "unpaired").await;
    let now = cluster.get(&format!("/v1/accounts/{account}")).await;
    assert_eq!(now["pairing"], Value::Null);
    let reason = now["status_reason"].as_str().unwrap().to_owned();
    let told = events(cluster, "session.timeout").await;
    assert_eq!(told.last().unwrap()["reason"], reason);
    reason
}

/// R25, R26, R63: WhatsApp asks for a passkey after the scan. The api shows this and what to do. It passes the owner's
/// answer to WhatsApp and WhatsApp's code to the owner. Then the phone is linked, and the account works like any other.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_passkey_is_presented_and_the_phone_linked(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, number) = gated(&cluster, json!({"kind": "passkey_gate", "count": 1})).await;
    let pairing = at_the_gate(&cluster, &account, "passkey_options").await;
    let advice = pairing["advice"].as_str().unwrap();
    assert!(advice.contains("pair/passkey"), "{advice}");
    let shown = cluster.get(&format!("/v1/accounts/{account}")).await;
    assert_eq!(shown["pairing"], json!({"step": "passkey", "advice": advice}));
    assert_eq!(events(&cluster, "session.passkey_required").await[0]["advice"], advice);

    // too early, then malformed, then correct
    let confirm = format!("/v1/accounts/{account}/pair/passkey/confirm");
    assert_eq!(cluster.call(Method::POST, &confirm, None).await.0, StatusCode::CONFLICT);
    let options = pairing["passkey_options"].clone();
    let credential = cluster.admin(Method::POST, &format!("/phones/{number}/passkey"), Some(options)).await;
    let mut malformed = credential.clone();
    malformed["response"]["signature"] = json!("not base64!");
    assert_eq!(present(&cluster, &account, malformed).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, answer) = present(&cluster, &account, credential.clone()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");

    let pairing = at_the_gate(&cluster, &account, "passkey_code").await;
    assert_eq!(pairing["passkey_options"], Value::Null, "it was presented");
    let phone = cluster.admin(Method::GET, &format!("/phones/{number}"), None).await;
    assert_eq!(phone["passkey_code"], pairing["passkey_code"]);
    assert_eq!(present(&cluster, &account, credential).await.0, StatusCode::CONFLICT, "once");
    assert_eq!(events(&cluster, "session.passkey_code").await.len(), 1);
    cluster.ok(Method::POST, &confirm, None).await;

    cluster.status(&account, "connected").await;
    let now = cluster.get(&format!("/v1/accounts/{account}")).await;
    assert_eq!((&now["pairing"], &now["phone_number"]), (&Value::Null, &json!(number)));
    let bob = cluster.phone("Bob").await;
    cluster.send(&account, &bob, "through the gate").await;
    cluster.shows(&bob, &["through the gate"]).await;
    cluster.stop(workers).await;
}

/// R25: a passkey that WhatsApp refuses, and a demand that can't be met, end the pairing at once with a reason. The
/// next pairing starts clean.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_gate_that_does_not_open_ends_the_pairing(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, number) = gated(&cluster, json!({"kind": "passkey_gate", "count": 1})).await;
    let pairing = at_the_gate(&cluster, &account, "passkey_options").await;
    let options = pairing["passkey_options"].clone();
    let path = format!("/phones/{number}/passkey");
    let mut credential = cluster.admin(Method::POST, &path, Some(options)).await;
    credential["response"]["authenticatorData"] = json!("AAAA");
    assert_eq!(present(&cluster, &account, credential).await.0, StatusCode::ACCEPTED);
    let reason = ended(&cluster, &account).await;
    assert!(reason.contains("passkey") && reason.contains("did not take"), "{reason}");
    cluster.pair(&account, &number).await;

    let (refused, _) = gated(&cluster, json!({"kind": "passkey_gate", "count": 1, "code": 403})).await;
    let reason = ended(&cluster, &refused).await;
    assert!(reason.contains("passkey") && reason.contains("403"), "{reason}");
    cluster.stop(workers).await;
}

/// R27: a demand belongs to its pairing. If the pairing ends for any reason, the demand ends too, and an answer to it
/// is refused.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_demand_ends_with_its_pairing(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, number) = gated(&cluster, json!({"kind": "passkey_gate", "count": 1})).await;
    let pairing = at_the_gate(&cluster, &account, "passkey_options").await;
    let options = pairing["passkey_options"].clone();
    let credential = cluster.admin(Method::POST, &format!("/phones/{number}/passkey"), Some(options)).await;
    cluster.post(&format!("/v1/accounts/{account}/pair"), json!({"method": "qr"})).await;
    let pairing = cluster.get(&format!("/v1/accounts/{account}/pairing")).await;
    assert_eq!((&pairing["step"], &pairing["advice"]), (&json!("qr"), &Value::Null));
    assert_eq!(present(&cluster, &account, credential).await.0, StatusCode::CONFLICT);
    let code = cluster.qr(&account).await;
    assert!(cluster.scan(&number, &code).await.0.is_success());
    cluster.status(&account, "connected").await;
    cluster.stop(workers).await;
}

/// R101: a phone that answers at once, with its part of the key agreement right after WhatsApp's answer, is linked each
/// time. `ROUNDS` sets the number of rounds for measurements.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_phone_that_answers_at_once_is_linked_each_time(pool: PgPool) {
    let rounds = std::env::var("ROUNDS").map_or(30, |rounds| rounds.parse().unwrap());
    let (cluster, workers) = Cluster::start(pool, 1).await;
    for round in 0..rounds {
        let (account, number) = gated(&cluster, json!({"kind": "passkey_gate", "count": 1})).await;
        let pairing = at_the_gate(&cluster, &account, "passkey_options").await;
        let options = pairing["passkey_options"].clone();
        let credential = cluster.admin(Method::POST, &format!("/phones/{number}/passkey"), Some(options)).await;
        assert_eq!(present(&cluster, &account, credential).await.0, StatusCode::ACCEPTED, "round {round}");
        at_the_gate(&cluster, &account, "passkey_code").await;
        let (status, _) = cluster.call(Method::DELETE, &format!("/v1/accounts/{account}"), None).await;
        assert!(status.is_success());
    }
    println!("{rounds} of {rounds}");
    cluster.stop(workers).await;
}
