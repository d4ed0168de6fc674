//! Messages: accepting, idempotency, reading, listing.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::test_api::{Answer, Gateway, TestApi};

async fn connected(api: &TestApi, tenant: &Gateway) -> String {
    let id = tenant.account("Sales").await;
    api.set_status(&id, "connected").await;
    id
}

async fn send_with_key(tenant: &Gateway, account: &str, key: &str, body: Value) -> Answer {
    let request = tenant.request(Method::POST, &format!("/v1/accounts/{account}/messages"));
    Answer::of(request.header("Idempotency-Key", key).json(&body)).await
}

/// R01, R36: what is answered with 202 is a committed row with its WhatsApp id, in the order of acceptance.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_accepted_message_is_a_row(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = connected(&api, &tenant).await;
    let path = format!("/v1/accounts/{account}/messages");
    let mut ids = Vec::new();
    for (to, chat) in [
        ("+4917012345678", "4917012345678@s.whatsapp.net"),
        ("4917012345678@c.us", "4917012345678@s.whatsapp.net"),
        ("123456789012345@lid", "123456789012345@lid"),
        ("120363041234567890@g.us", "120363041234567890@g.us"),
    ] {
        let sent = tenant.post(&path, json!({"to": to, "text": " Grüße 👋 "})).await.expect(202);
        let message = sent.json();
        assert_eq!((&message["state"], &message["to"]), (&json!("queued"), &json!(chat)));
        let whatsapp_id = message["whatsapp_id"].as_str().unwrap();
        assert!(whatsapp_id.len() == 22 && whatsapp_id.starts_with("3EB0"), "{whatsapp_id}");
        assert_eq!(tenant.get(&format!("/v1/messages/{}", sent.id())).await.expect(200).json(), message);
        ids.push(sent.id());
    }
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT id::text FROM messages WHERE body = ' Grüße 👋 ' ORDER BY seq")
            .fetch_all(&api.db)
            .await
            .unwrap();
    assert_eq!(stored, ids);
}

/// R36: a message is queued only for an account that comes back by itself; else a person is told what to do.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_account_without_a_phone_takes_no_messages(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    let path = format!("/v1/accounts/{id}/messages");
    for (status, expected) in [
        ("unpaired", 409),
        ("logged_out", 409),
        ("banned", 409),
        ("pending", 409), // no phone was ever linked
        ("disconnected", 202),
        ("pending", 202), // it is being paired anew
        ("connected", 202),
    ] {
        api.set_status(&id, status).await;
        let answer = tenant.post(&path, json!({"to": "4917012345678", "text": "x"})).await.expect(expected);
        if expected == 409 {
            assert_eq!(answer.problem(), "account-not-connected");
            let words = if status == "pending" { "it is being paired for the first time" } else { "pair it again" };
            assert_eq!(answer.json()["detail"], format!("Account not connected: {words}"));
        }
    }
    assert_eq!(api.count("SELECT count(*) FROM messages").await, 3);
}

/// R74: what waits says for what and until when: the account, and each message when it is accepted, read and listed.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_waits_says_why(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = connected(&api, &tenant).await;
    let path = format!("/v1/accounts/{id}/messages");
    let send = async || tenant.post(&path, json!({"to": "4917012345678", "text": "x"})).await.expect(202);
    assert_eq!(send().await.json()["waiting"], Value::Null);
    assert_eq!(tenant.get(&format!("/v1/accounts/{id}")).await.expect(200).json()["waiting"], Value::Null);

    sqlx::query("UPDATE accounts SET held_until = date_trunc('second', now() + interval '1 hour')")
        .execute(&api.db)
        .await
        .unwrap();
    let account = tenant.get(&format!("/v1/accounts/{id}")).await.expect(200).json();
    let held = json!({"reason": "held", "until": account["held_until"]});
    assert_eq!(account["waiting"], held);
    let sent = send().await;
    assert_eq!(sent.json()["waiting"], held);
    assert_eq!(tenant.get(&format!("/v1/messages/{}", sent.id())).await.expect(200).json()["waiting"], held);
    let listed = tenant.get(&path).await.expect(200).json();
    assert!(listed["data"].as_array().unwrap().iter().all(|message| message["waiting"] == held), "{listed}");

    sqlx::query("UPDATE accounts SET held_until = NULL").execute(&api.db).await.unwrap();
    api.set_status(&id, "logged_out").await;
    let waiting = tenant.get(&format!("/v1/messages/{}", sent.id())).await.expect(200).json()["waiting"].clone();
    assert_eq!(waiting, json!({"reason": "logged_out", "until": null}));
    sqlx::query("UPDATE messages SET state = 'sent', sent_at = now()").execute(&api.db).await.unwrap();
    assert_eq!(tenant.get(&format!("/v1/messages/{}", sent.id())).await.expect(200).json()["waiting"], Value::Null);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_wrong_with_a_message_is_named(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let path = format!("/v1/accounts/{}/messages", connected(&api, &tenant).await);
    let past = "2020-01-01T00:00:00Z";
    for (body, fields) in [
        (json!({}), vec!["to"]),
        (json!({"to": "4917012345678"}), vec!["text"]),
        (json!({"to": "status@broadcast", "text": ""}), vec!["to", "text"]),
        (json!({"to": "0170", "text": "x", "expires_at": past}), vec!["to", "expires_at"]),
        (json!({"to": "4917012345678", "text": "x", "expires_at": "soon"}), vec!["expires_at"]),
        (json!({"to": "4917012345678", "text": "x", "expires_at": "+200000-01-01T00:00:00Z"}), vec!["expires_at"]),
        (json!({"to": "4917012345678", "text": "a\u{0}b"}), vec!["text"]),
        (json!({"to": "4917012345678", "text": "x".repeat(65_537)}), vec!["text"]),
        (json!({"to": "4917012345678", "text": "x", "txt": "y"}), vec!["txt"]),
    ] {
        assert_eq!(tenant.post(&path, body).await.expect(422).fields(), fields);
    }
    let account = path.trim_start_matches("/v1/accounts/").trim_end_matches("/messages").to_owned();
    let body = json!({"to": "4917012345678", "text": "x"});
    let answer = send_with_key(&tenant, &account, &"k".repeat(256), body).await.expect(422);
    assert_eq!(answer.fields(), ["Idempotency-Key"]);
    assert_eq!(api.count("SELECT count(*) FROM messages").await, 0);
}

/// R01, R36: a repeated request is answered with the same message; the same key for another request is refused.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_repeated_request_sends_once(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, other) = (api.tenant().await, api.tenant().await);
    let (account, second) = (connected(&api, &tenant).await, connected(&api, &tenant).await);
    let body = json!({"to": "+4917012345678", "text": "x"});
    let first = send_with_key(&tenant, &account, "order 17", body.clone()).await.expect(202);
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = send_with_key(&tenant, &account, "order 17", body.clone()).await.expect(202);
    assert_eq!((again.header("idempotency-replayed"), again.text()), ("true", first.text()));
    for (account, body) in [
        (&account, json!({"to": "+4917012345678", "text": "y"})),
        (&account, json!({"to": "+4917012345679", "text": "x"})),
        (&account, json!({"to": "+4917012345678", "text": "x", "expires_at": "2999-01-01T00:00:00Z"})),
        (&second, body.clone()),
    ] {
        let refused = send_with_key(&tenant, account, "order 17", body).await.expect(422);
        assert_eq!(refused.problem(), "idempotency-key-reused");
    }
    // Keys are a tenant's own; and a replay is answered though the account was unpaired since.
    let foreign = connected(&api, &other).await;
    assert_ne!(send_with_key(&other, &foreign, "order 17", body.clone()).await.expect(202).id(), first.id());
    tenant.post_empty(&format!("/v1/accounts/{account}/unpair")).await.expect(200);
    assert_eq!(send_with_key(&tenant, &account, "order 17", body).await.expect(202).id(), first.id());
    assert_eq!(api.count("SELECT count(*) FROM messages").await, 2);
}

/// R01, R36: of many equal requests at the same instant one is accepted, and all are answered alike.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn equal_requests_at_once_send_once(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = connected(&api, &tenant).await;
    let body = json!({"to": "+4917012345678", "text": "x"});
    let requests = (0..20).map(|_| send_with_key(&tenant, &account, "k", body.clone()));
    let answers = futures::future::join_all(requests).await;
    let ids: std::collections::HashSet<_> = answers.into_iter().map(|answer| answer.expect(202).id()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(api.count("SELECT count(*) FROM messages").await, 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn messages_are_listed_newest_first(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = connected(&api, &tenant).await;
    let path = format!("/v1/accounts/{account}/messages");
    for number in 0..5 {
        tenant.post(&path, json!({"to": "4917012345678", "text": number.to_string()})).await.expect(202);
    }
    sqlx::query("UPDATE messages SET state = 'failed', failed_at = now(), reason = 'Group not found' WHERE body = '2'")
        .execute(&api.db)
        .await
        .unwrap();
    let texts = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|row| row["text"].as_str().unwrap().to_owned()).collect()
    };
    let page = tenant.get(&format!("{path}?limit=3")).await.expect(200).json();
    assert_eq!(texts(&page), ["4", "3", "2"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = tenant.get(&format!("{path}?limit=3&cursor={cursor}")).await.expect(200).json();
    assert_eq!((texts(&rest), &rest["next_cursor"]), (vec!["1".to_owned(), "0".to_owned()], &Value::Null));
    let failed = tenant.get(&format!("{path}?state=failed")).await.expect(200).json();
    assert_eq!((texts(&failed), &failed["data"][0]["reason"]), (vec!["2".to_owned()], &json!("Group not found")));
    assert_eq!(tenant.get(&format!("{path}?state=lost")).await.expect(422).fields(), ["state"]);
    assert_eq!(tenant.get(&format!("{path}?cursor=x")).await.expect(422).fields(), ["cursor"]);
}

/// R01: with Redis away a message is accepted all the same, and the answer does not wait for it.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn without_redis_everything_is_accepted(db: PgPool) {
    let api = TestApi::start_with_redis(db, "redis://127.0.0.1:1").await;
    let tenant = api.tenant().await;
    let account = connected(&api, &tenant).await;
    let path = format!("/v1/accounts/{account}/messages");
    tenant.post(&path, json!({"to": "4917012345678", "text": "warm"})).await.expect(202);
    let started = Instant::now();
    for _ in 0..20 {
        tenant.post(&path, json!({"to": "4917012345678", "text": "x"})).await.expect(202);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    tenant.post_empty(&format!("/v1/accounts/{account}/unpair")).await.expect(200);
    tenant.delete(&format!("/v1/accounts/{account}")).await.expect(204);
}
