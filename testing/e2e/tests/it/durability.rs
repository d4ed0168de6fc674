//! Accepted messages are neither lost nor doubled if acknowledgements are swallowed or Redis is emptied.

use kit::{RedisServer, until};
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use e2e::Cluster;

/// R01: Redis is emptied while messages are accepted. Each message arrives once, in order.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_emptied_redis_loses_nothing(pool: PgPool) {
    let own_redis = RedisServer::start();
    let (cluster, workers) = Cluster::start_on(pool, 2, own_redis.url()).await;
    let (account, _) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let texts: Vec<String> = (0..60).map(|n| format!("message {n:02}")).collect();
    let mut redis = redis::Client::open(own_redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    for (n, text) in texts.iter().enumerate() {
        cluster.send(&account, &bob, text).await;
        if n % 10 == 5 {
            let _: () = redis::cmd("FLUSHALL").query_async(&mut redis).await.unwrap();
        }
    }
    let wanted: Vec<&str> = texts.iter().map(String::as_str).collect();
    let inbox = cluster.shows(&bob, &wanted).await;
    let seen: Vec<&str> = inbox.iter().map(|m| m["text"].as_str().unwrap()).collect();
    assert_eq!(seen, wanted, "order is kept and nothing is shown twice");
    assert_eq!(cluster.overlaps().await, 0);
    cluster.stop(workers).await;
}

/// R01, R36: WhatsApp's acknowledgement is swallowed and the connection lost. The message goes out again with the same
/// id, so that the phone shows it once. Only then it counts as sent. The phone sends no receipt here, because a receipt
/// proves the sending as well.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_swallowed_acknowledgement_is_sent_again_with_the_same_id(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let bob = cluster.number();
    cluster.admin(Method::POST, "/phones", Some(json!({"number": bob, "auto_receipts": "none"}))).await;
    cluster
        .admin(Method::POST, "/faults", Some(json!({"kind": "swallow_acks", "target": {"number": own}, "count": 1})))
        .await;
    let id = cluster.send(&account, &bob, "only once").await;
    let stored = "SELECT whatsapp_id FROM messages WHERE id::text = $1";
    let stored: String = sqlx::query_scalar(stored).bind(&id).fetch_one(&cluster.pool).await.unwrap();
    let inbox = cluster.shows(&bob, &["only once"]).await;
    assert_eq!((&inbox[0]["id"], &inbox[0]["times_arrived"]), (&json!(stored), &json!(1)));
    let before = cluster.get(&format!("/v1/messages/{id}")).await;
    assert_eq!(before["state"], "queued", "it has arrived, but nobody has said so");
    cluster.admin(Method::POST, "/faults", Some(json!({"kind": "drop", "target": {"number": own}}))).await;
    until("a second arrival", async || {
        let inbox = cluster.inbox(&bob).await;
        assert_eq!(inbox.len(), 1, "the phone shows it once: {inbox:?}");
        assert_eq!(inbox[0]["id"], json!(stored));
        (inbox[0]["times_arrived"] == 2).then_some(())
    })
    .await;
    cluster.message(&id, "sent").await;
    let inbox = cluster.inbox(&bob).await;
    assert_eq!((inbox.len(), &inbox[0]["times_arrived"]), (1, &json!(2)), "{inbox:?}");
    cluster.stop(workers).await;
}

/// R01: a burst goes out in order, each message once. An acknowledged row is not read again before its state is `sent`.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_burst_goes_out_once_and_in_order(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, _) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let texts: Vec<String> = (0..300).map(|n| format!("message {n:03}")).collect();
    for text in &texts {
        cluster.send(&account, &bob, text).await;
    }
    let wanted: Vec<&str> = texts.iter().map(String::as_str).collect();
    let inbox = cluster.shows(&bob, &wanted).await;
    let seen: Vec<&str> = inbox.iter().map(|m| m["text"].as_str().unwrap()).collect();
    assert_eq!(seen, wanted);
    let doubled: Vec<_> = inbox.iter().filter(|m| m["times_arrived"] != 1).collect();
    assert!(doubled.is_empty(), "{} arrived twice, such as {}", doubled.len(), doubled[0]);
    cluster.stop(workers).await;
}

/// R36: a message that WhatsApp answers with the reach-out time-lock (463) is held. It does not fail, and is not tried
/// in a loop.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_time_lock_holds_and_does_not_fail(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let fault = json!({"kind": "ack_error", "target": {"number": own}, "code": 463, "count": 100});
    cluster.admin(Method::POST, "/faults", Some(fault)).await;
    let id = cluster.send(&account, &bob, "held").await;
    let held = "SELECT count(*) FROM accounts WHERE held_until > now() + interval '1 minute'";
    until("the hold", async || {
        (sqlx::query_scalar::<_, i64>(held).fetch_one(&cluster.pool).await.unwrap() == 1).then_some(())
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(cluster.get(&format!("/v1/messages/{id}")).await["state"], "queued");
    let fired = cluster.admin(Method::GET, "/faults", None).await;
    assert_eq!(fired[0]["fired"], 1, "{fired}");
    cluster.stop(workers).await;
}

/// Anyone can put U+0000 into an encrypted message, and Postgres can't store it. The account goes on nevertheless.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_text_with_a_nul_does_not_wedge_the_account(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let hostile = json!({"to": own, "text": "a\u{0}b"});
    cluster.admin(Method::POST, &format!("/phones/{bob}/send"), Some(hostile)).await;
    let stored = "SELECT count(*) FROM events WHERE kind = 'message.received' AND data->>'text' = E'a\\uFFFDb'";
    until("the event", async || {
        (sqlx::query_scalar::<_, i64>(stored).fetch_one(&cluster.pool).await.unwrap() == 1).then_some(())
    })
    .await;
    let id = cluster.send(&account, &bob, "still here").await;
    cluster.message(&id, "read").await;
    cluster.stop(workers).await;
}

/// R36: a message that the server can't take for the moment (503) keeps its place. Messages to the same chat that were
/// queued after it go out after it.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_message_that_is_put_off_keeps_its_place(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let fault = json!({"kind": "ack_error", "target": {"number": own}, "code": 503, "count": 1});
    cluster.admin(Method::POST, "/faults", Some(fault)).await;
    let texts = ["first", "second", "third"];
    for text in texts {
        cluster.send(&account, &bob, text).await;
    }
    let inbox = cluster.shows(&bob, &texts).await;
    let seen: Vec<&str> = inbox.iter().map(|m| m["text"].as_str().unwrap()).collect();
    assert_eq!(seen, texts);
    cluster.stop(workers).await;
}
