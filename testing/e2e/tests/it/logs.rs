//! What is logged at any level (R99).

use e2e::{Cluster, EVERYTHING, LINES};
use kit::{CREDENTIAL_KEYS, until};
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

/// R99: the whole log at `trace` of a pairing by QR, a pairing by code, messages to and from a person, and a logout
/// contains no number, QR code, pairing code, text or key.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn nothing_of_a_story_is_in_its_log(pool: PgPool) {
    let (cluster, workers) = Cluster::start_with(pool, 0, &[("RUST_LOG", EVERYTHING)]).await;
    let logs = std::env::temp_dir().join(format!("switchboard-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&logs).unwrap();
    let mut worker = cluster.worker_process(env!("CARGO_BIN_EXE_e2e-worker"), Some(&logs), &[]);

    let own = cluster.phone("Ada Lovelace").await;
    let account = cluster.account("Front desk").await;
    cluster.post(&format!("/v1/accounts/{account}/pair"), json!({})).await;
    let qr = cluster.qr(&account).await;
    assert!(cluster.scan(&own, &qr).await.0.is_success());
    cluster.status(&account, "connected").await;
    let bob = cluster.phone("Bob").await;
    let id = cluster.send(&account, &bob, "the falcon flies at midnight").await;
    cluster.message(&id, "read").await;
    let answer = json!({"to": own, "text": "the eagle has landed"});
    cluster.admin(Method::POST, &format!("/phones/{bob}/send"), Some(answer)).await;
    until("the answer", async || {
        let told = "SELECT count(*) FROM events WHERE kind = 'message.received'";
        (sqlx::query_scalar::<_, i64>(told).fetch_one(&cluster.pool).await.unwrap() == 1).then_some(())
    })
    .await;
    let other = cluster.phone("Grace").await;
    let second = cluster.account("Back office").await;
    cluster.post(&format!("/v1/accounts/{second}/pair"), json!({"method": "code", "phone": other})).await;
    let code = until("a pairing code", async || {
        let pairing = cluster.get(&format!("/v1/accounts/{second}/pairing")).await;
        pairing["code"].as_str().map(str::to_owned)
    })
    .await;
    cluster.post(&format!("/v1/accounts/{account}/logout"), json!({})).await;
    worker.kill().await.unwrap();

    let of_worker = std::fs::read_to_string(logs.join("worker.log")).unwrap();
    std::fs::remove_dir_all(&logs).unwrap();
    let of_others = String::from_utf8_lossy(&LINES.lock().unwrap()).into_owned();
    assert!(of_worker.contains("DEBUG") && of_others.contains("DEBUG"), "everything that may be said was said");
    let spaced = format!("{}-{}", &code[..4], &code[4..]);
    let qr_parts: Vec<&str> = qr.split(',').filter(|part| part.len() > 8).collect();
    let mut secrets = vec![
        own.as_str(),
        &bob,
        &other,
        &code,
        &spaced,
        "falcon",
        "eagle",
        "Lovelace",
        cluster.gateway.key().unwrap(),
        CREDENTIAL_KEYS,
    ];
    secrets.extend(qr_parts);
    for log in [&of_worker, &of_others] {
        for line in log.lines() {
            let found = secrets.iter().find(|secret| line.contains(**secret));
            assert_eq!(found, None, "{line}");
        }
    }
    cluster.stop(workers).await;
}
