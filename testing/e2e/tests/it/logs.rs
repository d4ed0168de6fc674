//! What is logged, at any level (R99).

use std::process::Stdio;

use e2e::{Cluster, EVERYTHING, LINES};
use process::config::Telemetry;
use reqwest::Method;
use serde_json::json;
use sqlx::{ConnectOptions as _, PgPool};
use tokio::process::Command;

/// For credentials.
const KEYS: &str = "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// R99: the whole log of a story at `trace` (a pairing by QR and one by code, messages to and from a person, a logout) holds no
/// number, no QR code, no pairing code, no text and no key.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn nothing_of_a_story_is_in_its_log(pool: PgPool) {
    let telemetry = Telemetry { log: EVERYTHING.to_owned(), ..Telemetry::default() };
    let (cluster, workers) = Cluster::start_traced(pool, 0, telemetry).await;
    let file = std::env::temp_dir().join(format!("switchboard-{}.log", uuid::Uuid::new_v4().simple()));
    let redis = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let mut worker = Command::new(env!("CARGO_BIN_EXE_e2e-worker"))
        .env("DATABASE_URL", cluster.pool.connect_options().to_url_lossy().as_str())
        .env("REDIS_URL", redis)
        .env("REDIS_PREFIX", &cluster.prefix)
        .env("CREDENTIAL_KEYS", KEYS)
        .env("OPS_LISTEN", format!("127.0.0.1:{}", kit::free_port()))
        .env("WHATSAPP_URL", cluster.simulator.ws_url())
        .env("WHATSAPP_VERSION", "2.3000.1023223821")
        .env("PRE_KEYS", "20")
        .env("RUST_LOG", EVERYTHING)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&file).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();

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
    cluster
        .until("the answer", async || {
            let told = "SELECT count(*) FROM events WHERE kind = 'message.received'";
            (sqlx::query_scalar::<_, i64>(told).fetch_one(&cluster.pool).await.unwrap() == 1).then_some(())
        })
        .await;
    let other = cluster.phone("Grace").await;
    let second = cluster.account("Back office").await;
    cluster.post(&format!("/v1/accounts/{second}/pair"), json!({"method": "code", "phone": other})).await;
    let code = cluster
        .until("a pairing code", async || {
            let pairing = cluster.get(&format!("/v1/accounts/{second}/pairing")).await;
            pairing["code"].as_str().map(str::to_owned)
        })
        .await;
    cluster.post(&format!("/v1/accounts/{account}/logout"), json!({})).await;
    worker.kill().await.unwrap();

    let of_worker = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let of_others = String::from_utf8_lossy(&LINES.lock().unwrap()).into_owned();
    assert!(of_worker.contains("DEBUG") && of_others.contains("DEBUG"), "everything that may be said was said");
    let spaced = format!("{}-{}", &code[..4], &code[4..]);
    let qr_parts: Vec<&str> = qr.split(',').filter(|part| part.len() > 8).collect();
    let mut secrets =
        vec![own.as_str(), &bob, &other, &code, &spaced, "falcon", "eagle", "Lovelace", &cluster.key, KEYS];
    secrets.extend(qr_parts);
    for log in [&of_worker, &of_others] {
        for line in log.lines() {
            let found = secrets.iter().find(|secret| line.contains(**secret));
            assert_eq!(found, None, "{line}");
        }
    }
    cluster.stop(workers).await;
}
