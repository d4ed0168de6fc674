//! Keys: who may call what.

use serde_json::json;
use sqlx::PgPool;

use crate::test_api::{Answer, TestApi};

/// R64: an admin manages tenants and their keys.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_admin_manages_tenants_and_keys(db: PgPool) {
    let api = TestApi::start(db).await;
    let admin = api.admin().await;
    let tenant = admin.post("/v1/tenants", json!({"name": " Acme "})).await.expect(201);
    assert_eq!(tenant.json()["name"], "Acme");
    let path = format!("/v1/tenants/{}", tenant.id());
    assert_eq!(admin.get(&path).await.expect(200).json(), tenant.json());
    let key = admin.post(&format!("{path}/keys"), json!({"name": "ci"})).await.expect(201);
    assert!(key.json()["secret"].as_str().unwrap().starts_with("sb_t_"));
    assert_eq!(key.header("cache-control"), "no-store");
    let keys = admin.get(&format!("{path}/keys")).await.expect(200);
    assert_eq!(keys.json()["data"][0]["name"], "ci");
    assert!(!keys.text().contains("secret"));
    admin.delete(&format!("{path}/keys/{}", key.id())).await.expect(204);
    admin.delete(&format!("{path}/keys/{}", key.id())).await.expect(204);
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.expect(404);
    admin.delete(&path).await.expect(404);
    admin.post(&format!("{path}/keys"), json!({"name": "ci"})).await.expect(404);
}

/// R64: tenants come in pages, none twice and none left out.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn tenants_come_in_pages(db: PgPool) {
    let api = TestApi::start(db).await;
    let admin = api.admin().await;
    for number in 0..5 {
        admin.post("/v1/tenants", json!({"name": format!("T{number}")})).await.expect(201);
    }
    let mut names = Vec::new();
    let mut path = "/v1/tenants?limit=2".to_owned();
    loop {
        let page = admin.get(&path).await.expect(200).json();
        names.extend(page["data"].as_array().unwrap().iter().map(|tenant| tenant["name"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/tenants?limit=2&cursor={cursor}");
    }
    assert_eq!(names, ["T0", "T1", "T2", "T3", "T4"]);
}

/// R14, R64: a tenant whose phone is still linked is not deleted under it.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_tenant_with_a_linked_account_stays(db: PgPool) {
    let api = TestApi::start(db).await;
    let (admin, tenant) = (api.admin().await, api.tenant().await);
    let account = tenant.account("Sales").await;
    api.set_status(&account, "connected").await;
    let path = format!("/v1/tenants/{}", tenant.tenant.unwrap());
    admin.delete(&path).await.expect(409);
    tenant.post_empty(&format!("/v1/accounts/{account}/unpair")).await.expect(200);
    admin.delete(&path).await.expect(204);
    assert_eq!(api.count("SELECT count(*) FROM accounts").await, 0);
}

/// R64: without a valid key nothing is answered, and each role sees its own side only.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn keys_open_their_own_side_only(db: PgPool) {
    let api = TestApi::start(db).await;
    let (anonymous, admin, tenant) = (api.anonymous(), api.admin().await, api.tenant().await);
    let refused = anonymous.get("/v1/accounts").await.expect(401);
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    anonymous.get("/v1/tenants").await.expect(401);
    admin.get("/v1/accounts").await.expect(403);
    tenant.get("/v1/tenants").await.expect(403);
    let header = |key: &str| anonymous.request(reqwest::Method::GET, "/v1/accounts").header("X-Api-Key", key);
    Answer::of(header(tenant.key().unwrap())).await.expect(200);
    Answer::of(header("sb_t_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")).await.expect(401);
    Answer::of(header("nonsense")).await.expect(401);
}

/// R64: a revoked key opens nothing any more, and the use of a key is noted.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_revoked_key_is_refused_within_five_seconds(db: PgPool) {
    let api = TestApi::start(db).await;
    let (admin, tenant) = (api.admin().await, api.tenant().await);
    tenant.get("/v1/accounts").await.expect(200);
    let path = format!("/v1/tenants/{}/keys", tenant.tenant.unwrap());
    let keys = admin.get(&path).await.expect(200).json();
    admin.delete(&format!("{path}/{}", keys["data"][0]["id"].as_str().unwrap())).await.expect(204);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while tenant.get("/v1/accounts").await.status == 200 {
        assert!(std::time::Instant::now() < deadline, "a revoked key still works");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    tenant.get("/v1/accounts").await.expect(401);
    let keys = admin.get(&path).await.expect(200).json();
    assert!(keys["data"][0]["last_used_at"].is_string() && keys["data"][0]["revoked_at"].is_string());
}
