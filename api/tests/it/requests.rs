//! What holds for every request: ids, problems, limits.

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use crate::test_api::{Answer, TestApi};

#[sqlx::test(migrator = "common::store::MIGRATOR")]
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

#[sqlx::test(migrator = "common::store::MIGRATOR")]
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
}

#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn what_is_no_id_is_not_found(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, admin) = (api.tenant().await, api.admin().await);
    for path in ["/v1/accounts/x", "/v1/accounts/x/qr", "/v1/messages/1", "/v1/reminders/x", "/v1/runs/x"] {
        tenant.get(path).await.expect(404);
    }
    admin.get("/v1/tenants/x").await.expect(404);
}

/// A fault of ours is hidden: no table, no query, no constraint in the answer.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_fault_of_ours_tells_nothing(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    sqlx::query("ALTER TABLE accounts ADD CONSTRAINT broken CHECK (false) NOT VALID").execute(&api.db).await.unwrap();
    let answer = tenant.post("/v1/accounts", json!({"label": "x"})).await.expect(500);
    assert_eq!(answer.problem(), "internal");
    assert!(!answer.text().contains("broken") && answer.json().get("detail").is_none());
}
