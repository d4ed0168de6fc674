//! The main use, end to end.

use std::time::Duration;

use kit::until;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;

use e2e::Cluster;

/// R65, R10, R11, R26, R30, R35, R36: an account is created and paired by the QR that is shown. It lists its groups.
/// Texts to a person and to a group are decrypted by their phones, and receipts come back.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn pair_send_and_receipts(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (own, bob, eve) = (cluster.phone("Ada").await, cluster.phone("Bob").await, cluster.phone("Eve").await);
    let members = json!({"subject": "Team", "owner": own, "members": [bob, eve]});
    let group = cluster.admin(Method::POST, "/groups", Some(members)).await["jid"].as_str().unwrap().to_owned();

    let account = cluster.account("Front desk").await;
    let fresh = cluster.get(&format!("/v1/accounts/{account}")).await;
    assert_eq!(fresh["status"], "unpaired");
    let (status, ..) = cluster.raw(&format!("/v1/accounts/{account}/qr")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    cluster.post(&format!("/v1/accounts/{account}/pair"), json!({})).await;
    let code = cluster.qr(&account).await;
    let (status, headers, png) = cluster.raw(&format!("/v1/accounts/{account}/qr")).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::OK, "image/png"));
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let (status, text) = cluster.scan(&own, &code).await;
    assert!(status.is_success(), "{text}");
    cluster.status(&account, "connected").await;
    let now = cluster.get(&format!("/v1/accounts/{account}")).await;
    assert_eq!(now["phone_number"], own.as_str());

    let groups = until("groups", async || {
        let groups = cluster.get(&format!("/v1/accounts/{account}/groups")).await;
        groups["data"].as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!((&groups["jid"], &groups["subject"], &groups["size"]), (&json!(group), &json!("Team"), &json!(3)));

    let direct = cluster.send(&account, &bob, "Good morning, Bob").await;
    let to_group = cluster.send(&account, &group, "Good morning, all").await;
    let inbox = cluster.shows(&bob, &["Good morning, Bob", "Good morning, all"]).await;
    assert!(
        inbox.iter().all(|m| m["times_arrived"] == 1 && m["sender"].as_str().unwrap().starts_with(own.as_str())),
        "{inbox:?}"
    );
    cluster.shows(&eve, &["Good morning, all"]).await;
    let read = cluster.message(&direct, "read").await;
    assert!(read["sent_at"].is_string() && read["delivered_at"].is_string() && read["read_at"].is_string());
    cluster.message(&to_group, "read").await;
    assert_eq!(cluster.overlaps().await, 0);
    cluster.stop(workers).await;
}

/// R115, R36: a batch of messages to several chats is accepted at once, and each phone gets its messages once and in the
/// order of the request.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_batch_arrives_in_order(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, _) = cluster.connected("Ada").await;
    let phones = [cluster.phone("Bob").await, cluster.phone("Eve").await, cluster.phone("Kim").await];
    let messages: Vec<_> =
        (0..200).map(|n| json!({"to": phones[n % phones.len()], "text": format!("message {n}")})).collect();
    let path = format!("/v1/accounts/{account}/messages/batch");
    let answer = cluster.post(&path, json!({"messages": messages})).await;
    assert_eq!(answer["messages"].as_array().unwrap().len(), 200);
    for (place, phone) in phones.iter().enumerate() {
        let texts: Vec<String> =
            (0..200).filter(|n| n % phones.len() == place).map(|n| format!("message {n}")).collect();
        let last = texts.last().unwrap();
        let inbox = cluster.shows(phone, &[last]).await;
        let shown: Vec<&str> = inbox.iter().map(|message| message["text"].as_str().unwrap()).collect();
        assert_eq!(shown, texts);
        assert!(inbox.iter().all(|message| message["times_arrived"] == 1), "{inbox:?}");
    }
    cluster.stop(workers).await;
}

/// R31: an account is paired by the eight characters that its owner types into the phone.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn pair_by_code(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let own = cluster.phone("Ada").await;
    let account = cluster.account("Front desk").await;
    cluster.post(&format!("/v1/accounts/{account}/pair"), json!({"method": "code", "phone": own})).await;
    let code = until("a pairing code", async || {
        let pairing = cluster.get(&format!("/v1/accounts/{account}/pairing")).await;
        pairing["code"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(code.replace('-', "").len(), 8, "{code}");
    cluster.admin(Method::POST, &format!("/phones/{own}/enter-code"), Some(json!({"code": code}))).await;
    cluster.status(&account, "connected").await;
    cluster.stop(workers).await;
}

/// R03, R40, R45: a one-off and a daily reminder fire to a group, once each, while two schedulers run. Then the one-off
/// has ended, and the daily one is armed for tomorrow.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn reminders_fire_once(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let second = cluster.scheduler();
    let (account, own) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let members = json!({"subject": "Team", "owner": own, "members": [bob]});
    let group = cluster.admin(Method::POST, "/groups", Some(members)).await["jid"].as_str().unwrap().to_owned();

    let soon = (chrono::Utc::now() + Duration::from_secs(2)).to_rfc3339();
    let reminder = |name: &str, kind: &str| {
        json!({"name": name, "account_id": account, "messages": [format!("{name}!")], "targets": [group],
               "start": soon, "timezone": "Europe/London", "recurrence": {"kind": kind}})
    };
    let once =
        cluster.post("/v1/reminders", reminder("Stand-up once", "none")).await["id"].as_str().unwrap().to_owned();
    let daily =
        cluster.post("/v1/reminders", reminder("Stand-up daily", "daily")).await["id"].as_str().unwrap().to_owned();

    for id in [&once, &daily] {
        let run = until("a finished run", async || {
            let runs = cluster.get(&format!("/v1/reminders/{id}/runs")).await;
            runs["data"].as_array().unwrap().iter().find(|run| run["status"] == "success").cloned()
        })
        .await;
        let run = cluster.get(&format!("/v1/runs/{}", run["id"].as_str().unwrap())).await;
        assert_eq!(run["targets"][0]["state"], "sent", "{run}");
    }
    let inbox = cluster.shows(&bob, &["Stand-up once!", "Stand-up daily!"]).await;
    assert_eq!(inbox.len(), 2, "{inbox:?}");
    assert_eq!(cluster.get(&format!("/v1/reminders/{once}")).await["status"], "ended");
    let armed = cluster.get(&format!("/v1/reminders/{daily}")).await;
    assert_eq!(armed["status"], "active");
    assert!(armed["last_fired_at"].is_string() && armed["next_fire_at"].is_string(), "{armed}");
    second.stop().await;
    cluster.stop(workers).await;
}

/// R98: a message from a phone to the account becomes one event, with the sender's name and number.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn received_messages_become_events(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (_, own) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    cluster.admin(Method::POST, &format!("/phones/{bob}/send"), Some(json!({"to": own, "text": "Is it open?"}))).await;
    until("the event", async || {
        let rows = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM events WHERE kind = 'message.received' AND data->>'text' = 'Is it open?'",
        );
        let count = rows.fetch_one(&cluster.pool).await.unwrap();
        assert!(count <= 1);
        (count == 1).then_some(())
    })
    .await;
    let told: serde_json::Value = sqlx::query_scalar("SELECT data FROM events WHERE kind = 'message.received'")
        .fetch_one(&cluster.pool)
        .await
        .unwrap();
    assert_eq!((&told["sender_name"], &told["sender_number"]), (&json!("Bob"), &json!(bob)), "{told}");
    assert!(told.get("sender_lid").is_some(), "{told}");
    let linked: serde_json::Value = sqlx::query_scalar("SELECT data FROM events WHERE kind = 'session.connected'")
        .fetch_one(&cluster.pool)
        .await
        .unwrap();
    assert_eq!(linked["phone_number"], json!(own), "{linked}");
    cluster.stop(workers).await;
}
