//! Webhooks through the whole cluster: what happens at WhatsApp is posted, signed, to a receiver (R63).

use std::time::{Duration, Instant};

use kit::until;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use e2e::Cluster;

use crate::receiver::{Received, Receiver};

async fn webhook(cluster: &Cluster, url: &str, kinds: &[&str]) -> Value {
    cluster.post("/v1/webhooks", json!({"url": url, "kinds": kinds})).await
}

/// Waits until the receiver has got this many requests.
async fn requests(receiver: &Receiver, count: usize) -> Vec<Received> {
    until(format!("{count} requests"), async || {
        let received = receiver.received();
        (received.len() >= count).then_some(received)
    })
    .await
}

/// Waits until this many deliveries of a webhook are in this state. Returns them, newest first.
async fn deliveries(cluster: &Cluster, webhook: &Value, state: &str, count: usize) -> Vec<Value> {
    let path = format!("/v1/webhooks/{}/deliveries?state={state}", webhook["id"].as_str().unwrap());
    until(format!("{count} {state}"), async || {
        let page = cluster.get(&path).await;
        let listed = page["data"].as_array().unwrap().clone();
        (listed.len() >= count).then_some(listed)
    })
    .await
}

fn statuses(received: &[Received]) -> Vec<String> {
    received.iter().map(|request| request.json()["data"]["status"].as_str().unwrap().to_owned()).collect()
}

/// R63: a pairing is posted step by step, in order, once each, signed, with the same data as in the live stream.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn status_changes_are_posted_and_signed(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let receiver = Receiver::start(&[]).await;
    let hook = webhook(&cluster, &receiver.url(), &["account.status_changed"]).await;
    let secret = hook["secret"].as_str().unwrap();
    let (account, _) = cluster.connected("Ada").await;
    let start = Instant::now();
    let received = requests(&receiver, 2).await;
    println!("the second event arrived {:?} after the API showed `connected`", start.elapsed());
    assert_eq!(statuses(&received), ["pending", "connected"]);
    for request in &received {
        assert!(request.is_signed_with(secret), "{request:?}");
        assert!(!request.is_signed_with("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        assert_eq!(request.header("content-type"), "application/json");
        let (id, kind, at) = (&request.json()["id"], &request.json()["kind"], &request.json()["account_id"]);
        assert!(id.as_str().unwrap().contains('-'));
        assert_eq!((kind, at), (&json!("account.status_changed"), &json!(account)));
    }
    let done = deliveries(&cluster, &hook, "delivered", 2).await;
    assert_eq!(done[0]["id"], received[1].header("webhook-id"));
    assert!(done.iter().all(|d| d["attempts"] == 1 && d["last_status"] == 200), "{done:?}");

    // a test is sent to this webhook only; after a change of the secret both secrets sign
    let path = format!("/v1/webhooks/{}", hook["id"].as_str().unwrap());
    let anew = cluster.post(&format!("{path}/rotate-secret"), json!({})).await;
    cluster.post(&format!("{path}/test"), json!({})).await;
    let received = requests(&receiver, 3).await;
    assert_eq!(received[2].json()["kind"], "webhook.test");
    assert!(received[2].is_signed_with(secret) && received[2].is_signed_with(anew["secret"].as_str().unwrap()));
    assert_eq!(received.len(), 3, "nothing else was carried");
    cluster.stop(workers).await;
}

/// R63: a receiver that fails twice gets the same delivery a third time, and no later delivery before it.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_fails_is_tried_again(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let receiver = Receiver::start(&[500, 503]).await;
    let hook = webhook(&cluster, &receiver.url(), &["account.status_changed"]).await;
    cluster.connected("Ada").await;
    let received = requests(&receiver, 4).await;
    assert_eq!(statuses(&received), ["pending", "pending", "pending", "connected"]);
    let ids: Vec<&str> = received.iter().map(|request| request.header("webhook-id")).collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3], "{ids:?}");
    let done = deliveries(&cluster, &hook, "delivered", 2).await;
    assert_eq!((&done[1]["attempts"], &done[0]["attempts"]), (&json!(3), &json!(1)));
    let now = cluster.get(&format!("/v1/webhooks/{}", hook["id"].as_str().unwrap())).await;
    assert_eq!((&now["failures"], &now["failing_since"]), (&json!(0), &Value::Null));
    cluster.stop(workers).await;
}

/// R63, R01: a worker vanishes during a request. Another worker posts it again, and after it what happened meanwhile.
/// Nothing is lost, and a repeated post has the same id.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_worker_killed_mid_delivery_loses_nothing(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 1).await;
    let receiver = Receiver::start(&[]).await;
    let hook = webhook(&cluster, &receiver.url(), &["account.status_changed"]).await;
    receiver.hold();
    let account = cluster.account("Ada").await;
    let number = cluster.phone("Ada").await;
    cluster.pair(&account, &number).await;
    let first = requests(&receiver, 1).await;
    workers.remove(0).vanish();
    cluster.ok(Method::POST, &format!("/v1/accounts/{account}/unpair"), None).await;
    receiver.answer();
    let next = cluster.worker();
    deliveries(&cluster, &hook, "delivered", 3).await;
    let received = receiver.received();
    assert_eq!(statuses(&received), ["pending", "pending", "connected", "unpaired"]);
    assert_eq!(first[0].header("webhook-id"), received[1].header("webhook-id"), "the same, again");
    cluster.stop(vec![next]).await;
}

/// R63: a receiver that does not answer delays neither the others nor the account's session.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_slow_receiver_holds_up_nobody(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (slow, quick) = (Receiver::start(&[]).await, Receiver::start(&[]).await);
    slow.hold();
    for receiver in [&slow, &slow, &slow, &quick] {
        webhook(&cluster, &receiver.url(), &["account.status_changed"]).await;
    }
    let start = Instant::now();
    let (account, _) = cluster.connected("Ada").await;
    requests(&slow, 3).await;
    assert_eq!(statuses(&requests(&quick, 2).await), ["pending", "connected"]);
    let bob = cluster.phone("Bob").await;
    cluster.send(&account, &bob, "hello").await;
    cluster.shows(&bob, &["hello"]).await;
    let took = start.elapsed();
    println!("paired, told and sent within {took:?}");
    // a request is given up after ten seconds; on a loaded machine it may take as long
    let (under_way, late) = (slow.received().len(), took > Duration::from_secs(10));
    assert!(under_way == 3 || late, "each slow one has its first request under way, and no other: {under_way}");
    slow.answer();
    cluster.stop(workers).await;
}

/// R63: a webhook never reaches the internal network. Its URL is refused when it is set. The connection is refused if
/// the name has another address by then, or if the operator's rules are stricter.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn no_webhook_leads_into_the_house(pool: PgPool) {
    let (cluster, _) = Cluster::start(pool, 0).await;
    for url in ["http://10.0.0.1/", "http://169.254.169.254/", "http://[::1]/", "http://user@127.0.0.1/"] {
        let (status, problem) = cluster.call(Method::POST, "/v1/webhooks", Some(json!({"url": url}))).await;
        assert_eq!(
            (status, &problem["errors"][0]["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("url")),
            "{url}"
        );
    }
    // the api of this cluster allows 127.0.0.0/8; this worker does not
    let worker = cluster.worker_with(&[("WEBHOOK_ALLOW_PRIVATE", "127.0.0.2/32")]);
    let receiver = Receiver::start(&[]).await;
    let name = receiver.url().replace("127.0.0.1", "localhost");
    for url in [receiver.url(), name] {
        let hook = webhook(&cluster, &url, &[]).await;
        let test = format!("/v1/webhooks/{}/test", hook["id"].as_str().unwrap());
        cluster.ok(Method::POST, &test, None).await;
        until("a refused attempt", async || {
            let tried = &deliveries(&cluster, &hook, "pending", 1).await[0];
            (tried["last_error"] == "address").then_some(())
        })
        .await;
    }
    assert!(receiver.received().is_empty());
    cluster.stop(vec![worker]).await;
}

/// R63: a receiver that answers 410 wants no more posts. The webhook is disabled, and its tenant gets an event.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_is_gone_is_left_alone(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (gone, stays) = (Receiver::start(&[410]).await, Receiver::start(&[]).await);
    let hook = webhook(&cluster, &gone.url(), &[]).await;
    webhook(&cluster, &stays.url(), &["webhook.disabled"]).await;
    let path = format!("/v1/webhooks/{}", hook["id"].as_str().unwrap());
    cluster.ok(Method::POST, &format!("{path}/test"), None).await;
    let told = requests(&stays, 1).await;
    assert_eq!(told[0].json()["data"], json!({"webhook_id": hook["id"], "reason": "gone"}));
    let now = cluster.get(&path).await;
    assert_eq!((&now["enabled"], &now["disabled_reason"]), (&json!(false), &json!("gone")));
    // after it is enabled again, the waiting deliveries are posted
    cluster.ok(Method::PATCH, &path, Some(json!({"enabled": true}))).await;
    requests(&gone, 2).await;
    tokio::time::timeout(Duration::from_secs(20), cluster.stop(workers))
        .await
        .expect("followers stop with their worker");
}
