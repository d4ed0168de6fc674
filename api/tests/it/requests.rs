//! What holds for every request: ids, problems, limits.

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use crate::test_api::{Answer, TestApi};

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn every_answer_carries_the_request_id(db: PgPool) {
    let api = TestApi::start(db).await;
    let anyone = api.anonymous();
    let answer = anyone.get("/v1/nothing").await.expect(404);
    assert_eq!(answer.json()["instance"], answer.header("x-request-id"));
    assert_eq!(answer.problem(), "not-found");
    let given = Answer::of(anyone.request(Method::GET, "/health").header("X-Request-Id", "mine-1")).await;
    assert_eq!(given.header("x-request-id"), "mine-1");
    let refused = Answer::of(anyone.request(Method::GET, "/health").header("X-Request-Id", "a b")).await;
    assert_ne!(refused.header("x-request-id"), "a b");
    anyone.delete("/v1/accounts").await.expect(405);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_body_is_json_of_a_bounded_length(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let post = || tenant.request(Method::POST, "/v1/accounts");
    Answer::of(post().body("label=x")).await.expect(415);
    Answer::of(post().header("content-type", "application/json").body("{\"label\"")).await.expect(400);
    let empty = Answer::of(post().header("content-type", "application/json")).await.expect(400);
    assert_eq!(empty.problem(), "malformed");
    tenant.post("/v1/accounts", json!({"label": "x".repeat(300_000)})).await.expect(413);
    assert_eq!(tenant.post("/v1/accounts", json!([])).await.expect(422).fields(), ["body"]);
    let long = json!({"name": "x".repeat(8 * 1024 * 1024)});
    let path = "/v1/reminders/0199c0de-0000-7000-8000-000000000000";
    for answer in [tenant.post("/v1/reminders", long.clone()).await, tenant.put(path, long).await] {
        assert_eq!(answer.expect(413).problem(), "too-large");
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_no_id_is_not_found(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, admin) = (api.tenant().await, api.admin().await);
    for path in ["/v1/accounts/x", "/v1/accounts/x/qr", "/v1/messages/1", "/v1/reminders/x", "/v1/runs/x"] {
        tenant.get(path).await.expect(404);
    }
    admin.get("/v1/tenants/x").await.expect(404);
}

/// A fault of ours is hidden: no table, no query, no constraint in the answer.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_fault_of_ours_tells_nothing(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    sqlx::query("ALTER TABLE accounts ADD CONSTRAINT broken CHECK (false) NOT VALID").execute(&api.db).await.unwrap();
    let answer = tenant.post("/v1/accounts", json!({"label": "x"})).await.expect(500);
    assert_eq!(answer.problem(), "internal");
    assert!(!answer.text().contains("broken") && answer.json().get("detail").is_none());
}

/// A page of long texts ends early, and the next one goes on behind it.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn pages_of_long_texts_end_early(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    for sql in [
        "INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id)
         SELECT gen_random_uuid(), tenant_id, id, '1@g.us', repeat('x', 65536), '3EB0' || n
         FROM accounts, generate_series(1, 100) AS n",
        "INSERT INTO reminders (id, tenant_id, account_id, name, timezone, start_local)
         SELECT gen_random_uuid(), tenant_id, id, 'R' || n, 'UTC', '2190-01-04T09:00' FROM accounts, generate_series(1, 10) AS n",
        "INSERT INTO reminder_messages (tenant_id, reminder_id, position, body)
         SELECT tenant_id, id, n, repeat('x', 65536) FROM reminders, generate_series(1, 10) AS n",
    ] {
        sqlx::query(sql).execute(&api.db).await.unwrap();
    }
    for (path, items) in [(format!("/v1/accounts/{account}/messages"), 100), ("/v1/reminders".to_owned(), 10)] {
        let (mut seen, mut query) = (std::collections::HashSet::new(), "?limit=200".to_owned());
        let mut pages = 0;
        loop {
            let answer = tenant.get(&format!("{path}{query}")).await.expect(200);
            assert!(answer.text().len() < 5 * 1024 * 1024, "{path}: {} bytes", answer.text().len());
            let page = answer.json();
            seen.extend(page["data"].as_array().unwrap().iter().map(|row| row["id"].to_string()));
            pages += 1;
            let Some(next) = page["next_cursor"].as_str() else { break };
            query = format!("?limit=200&cursor={next}");
        }
        assert_eq!((seen.len(), pages), (items, 2), "{path}");
    }
}

/// R94: a cursor that lies in the future is refused, by every list of the document that is in order of time or of a number.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_cursor_from_the_future_is_told(db: PgPool) {
    let api = TestApi::start(db).await;
    let (operator, tenant) = (api.admin().await, api.tenant().await);
    let account = tenant.account("Sales").await;
    api.set_status(&account, "connected").await;
    let message = json!({"to": "4917012345678", "text": "Hello"});
    tenant.post(&format!("/v1/accounts/{account}/messages"), message).await.expect(202);
    let hook = tenant.post("/v1/webhooks", json!({"url": "https://example.com/hook"})).await.expect(201).json();
    tenant.post_empty(&format!("/v1/webhooks/{}/test", hook["id"].as_str().unwrap())).await.expect(202);
    let reminder = uuid::Uuid::now_v7().to_string();
    let document = api.anonymous().get("/openapi.json").await.expect(200).json();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let parameters = operations["get"]["parameters"].as_array().cloned().unwrap_or_default();
        if !parameters.iter().any(|parameter| parameter["name"] == "cursor") || path.ends_with("/groups") {
            continue;
        }
        let path = path
            .replace("{account}", &account)
            .replace("{webhook}", hook["id"].as_str().unwrap())
            .replace("{reminder}", &reminder)
            .replace("{tenant}", &tenant.tenant.unwrap().to_string());
        let who = if path.starts_with("/v1/tenants") { &operator } else { &tenant };
        for cursor in
            [format!("{:x}-{}", 32_503_680_000_000_000_i64, uuid::Uuid::nil().simple()), "4611686018427387904".into()]
        {
            let answer = who.get(&format!("{path}?cursor={cursor}")).await.expect(422);
            assert_eq!(answer.fields(), ["cursor"], "{path}");
        }
        asked += 1;
    }
    assert_eq!(asked, 11, "lists in pages");
}
