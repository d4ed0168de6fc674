//! Batches: many messages in one request.

use process::telemetry::metrics;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::test_api::{Answer, Gateway, TestApi};

async fn connected(api: &TestApi, tenant: &Gateway) -> String {
    let id = tenant.account("Sales").await;
    api.set_status(&id, "connected").await;
    id
}

fn path(account: &str) -> String {
    format!("/v1/accounts/{account}/messages/batch")
}

/// A batch of this many messages to seven chats.
fn batch(count: usize) -> Value {
    let message = |n: usize| json!({"to": format!("491701234567{}", n % 7), "text": format!("message {n}")});
    json!({"messages": (0..count).map(message).collect::<Vec<_>>()})
}

async fn send_with_key(tenant: &Gateway, account: &str, key: &str, body: &Value) -> Answer {
    let request = tenant.request(Method::POST, &path(account));
    Answer::of(request.header("Idempotency-Key", key).json(body)).await
}

async fn stored(api: &TestApi) -> i64 {
    api.count("SELECT count(*) FROM messages").await
}

/// R115: up to a thousand messages are accepted in one request and one transaction, answered in order, and stored in
/// order. Equal ones are different messages.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_batch_is_accepted_and_answered_in_order(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = connected(&api, &tenant).await;
    let before = metrics::MESSAGES_ACCEPTED.of(()).get();
    let mut body = batch(1_000);
    body["messages"][1] = body["messages"][0].clone();
    body["messages"][2]["expires_at"] = json!("2199-01-01T00:00:00Z");
    let answer = tenant.post(&path(&account), body.clone()).await.expect(202);
    assert_eq!(answer.header("location"), "");
    let answer = answer.json();
    let answered = answer["messages"].as_array().unwrap();
    assert_eq!(answered.len(), 1_000);
    for (asked, answered) in body["messages"].as_array().unwrap().iter().zip(answered) {
        assert_eq!((&answered["text"], &answered["state"]), (&asked["text"], &json!("queued")));
        assert_eq!(answered["to"], json!(format!("{}@s.whatsapp.net", asked["to"].as_str().unwrap())));
    }
    assert_eq!(answered[2]["expires_at"], "2199-01-01T00:00:00Z");
    assert!(answered[0]["id"] != answered[1]["id"] && answered[0]["whatsapp_id"] != answered[1]["whatsapp_id"]);
    let ids: Vec<String> = answered.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect();
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT id::text FROM messages ORDER BY seq").fetch_all(&api.db).await.unwrap();
    assert_eq!(rows, ids);
    assert_eq!(api.count("SELECT count(DISTINCT xmin::text) FROM messages").await, 1);
    assert_eq!(tenant.get(&format!("/v1/messages/{}", ids[999])).await.expect(200).json(), answered[999]);
    // other tests of this process accept messages, too
    assert!(metrics::MESSAGES_ACCEPTED.of(()).get() >= before + 1_000.0);
    assert_eq!(tenant.post(&path(&account), batch(1)).await.expect(202).json()["messages"][0]["text"], "message 0");
}

/// R115: if one message of a thousand is not valid, its fields are named and nothing is accepted.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn one_bad_message_refuses_the_batch(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = connected(&api, &tenant).await;
    let with = |place: usize, message: Value| {
        let mut body = batch(1_000);
        body["messages"][place] = message;
        body
    };
    let good = json!({"to": "4917012345678", "text": "x"});
    for (body, fields) in [
        (json!({}), vec!["messages"]),
        (json!([good]), vec!["body"]),
        (json!({"messages": good}), vec!["messages"]),
        (json!({"messages": []}), vec!["messages"]),
        (batch(1_001), vec!["messages"]),
        (json!({"messages": [good], "to": "1"}), vec!["to"]),
        (with(3, json!({"to": "0170", "text": "x"})), vec!["messages[3].to"]),
        (with(999, json!({"to": "4917012345678", "text": ""})), vec!["messages[999].text"]),
        (
            with(500, json!({"to": "0170", "text": "", "expires_at": "2020-01-01T00:00:00Z"})),
            vec!["messages[500].to", "messages[500].text", "messages[500].expires_at"],
        ),
        (with(0, json!({"to": "4917012345678"})), vec!["messages[0].text"]),
        (with(7, json!({"to": "4917012345678", "text": "x", "txt": "y"})), vec!["messages[7].txt"]),
        (with(7, json!({"to": "4917012345678", "text": "a\u{0}b"})), vec!["messages[7].text"]),
        (with(7, json!(["4917012345678", "x"])), vec!["messages[7]"]),
        (with(7, json!(null)), vec!["messages[7]"]),
    ] {
        assert_eq!(tenant.post(&path(&account), body).await.expect(422).fields(), fields);
    }
    let bad: Vec<Value> = (0..1_000).map(|_| json!({"to": "0170", "text": "x"})).collect();
    let refused = tenant.post(&path(&account), json!({"messages": bad})).await.expect(422);
    assert_eq!(refused.fields().len(), 100, "a refusal is no longer than a person reads");
    let said = tenant.post(&path(&account), json!({"messages": []})).await.expect(422).json();
    assert_eq!(said["errors"][0]["message"], "must be a list of 1 to 1000 items");
    assert_eq!(stored(&api).await, 0);
}

/// R115: a body of more than 4 MiB is refused, and one of nearly 4 MiB is accepted.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_batch_is_bounded(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = connected(&api, &tenant).await;
    let of = |count: usize| {
        let text = "x".repeat(65_536);
        json!({"messages": vec![json!({"to": "4917012345678", "text": text}); count]})
    };
    let refused = tenant.post(&path(&account), of(64)).await.expect(413);
    assert_eq!(
        (refused.problem(), &refused.json()["detail"]),
        ("too-large".to_owned(), &json!("This route takes at most 4194304 bytes"))
    );
    assert_eq!(tenant.post(&path(&account), of(63)).await.expect(202).json()["messages"].as_array().unwrap().len(), 63);
    assert_eq!(stored(&api).await, 63);
}

/// R64, R115: a batch for another tenant's account, or for one that has no phone, is refused as a message is.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_batch_goes_where_a_message_may_go(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, stranger) = (api.tenant().await, api.tenant().await);
    let account = connected(&api, &tenant).await;
    assert_eq!(stranger.post(&path(&account), batch(2)).await.expect(404).problem(), "not-found");
    let unpaired = tenant.account("Later").await;
    assert_eq!(tenant.post(&path(&unpaired), batch(2)).await.expect(409).problem(), "account-not-connected");
    assert_eq!(stored(&api).await, 0);
    assert_eq!(send_with_key(&tenant, &unpaired, "k", &batch(2)).await.expect(409).problem(), "account-not-connected");
    api.set_status(&unpaired, "connected").await;
    send_with_key(&tenant, &unpaired, "k", &batch(2)).await.expect(202);
}

/// R76, R115: a batch with a key is accepted once, and answered again alike, also if it would be refused by now. Another
/// batch, or another request, under its key is refused.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_repeated_batch_is_accepted_once(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = connected(&api, &tenant).await;
    let first = send_with_key(&tenant, &account, "order 17", &batch(30)).await.expect(202);
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = send_with_key(&tenant, &account, "order 17", &batch(30)).await.expect(202);
    assert_eq!((again.header("idempotency-replayed"), again.text()), ("true", first.text()));
    let mut swapped = batch(30);
    swapped["messages"].as_array_mut().unwrap().swap(0, 1);
    for body in [batch(29), swapped] {
        let refused = send_with_key(&tenant, &account, "order 17", &body).await.expect(422);
        assert_eq!(refused.problem(), "idempotency-key-reused");
    }
    let single = tenant.request(Method::POST, &format!("/v1/accounts/{account}/messages"));
    let single = single.header("Idempotency-Key", "order 17").json(&json!({"to": "4917012345678", "text": "x"}));
    assert_eq!(Answer::of(single).await.expect(422).problem(), "idempotency-key-reused");
    tenant.post_empty(&format!("/v1/accounts/{account}/unpair")).await.expect(200);
    assert_eq!(send_with_key(&tenant, &account, "order 17", &batch(30)).await.expect(202).text(), first.text());
    assert_eq!(stored(&api).await, 30);
}

/// R76, R115: of many equal batches at the same instant one is accepted, and all are answered alike.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn equal_batches_at_once_are_accepted_once(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = connected(&api, &tenant).await;
    let body = batch(100);
    let requests = (0..10).map(|_| send_with_key(&tenant, &account, "k", &body));
    let answers = futures::future::join_all(requests).await;
    let texts: std::collections::HashSet<_> = answers.into_iter().map(|answer| answer.expect(202).text()).collect();
    assert_eq!(texts.len(), 1);
    assert_eq!(stored(&api).await, 100);
}
