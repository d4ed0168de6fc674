//! The trail of what is changed, by whom (R95).

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::test_api::TestApi;

/// What the trail says, oldest first: subject, action, outcome.
fn steps(page: &Value) -> Vec<(String, String)> {
    let word = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    page["data"].as_array().unwrap().iter().rev().map(|e| (word(e, "subject"), word(e, "action"))).collect()
}

/// R95: whatever changes keys, tenants, webhooks and their secrets is in the trail, with who did it; nothing in it is a secret. The
/// trail of a deleted tenant stays with the operator.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn everything_that_changes_is_in_the_trail(db: PgPool) {
    let api = TestApi::start(db).await;
    let admin = api.admin().await;
    let made = admin.post("/v1/tenants", json!({"name": "Acme"})).await.expect(201).json();
    let path = format!("/v1/tenants/{}", made["id"].as_str().unwrap());
    let key = admin.post(&format!("{path}/keys"), json!({"name": "front"})).await.expect(201).json();
    let tenant = api.client(key["secret"].as_str().unwrap());
    admin.patch(&path, json!({"messages_kept_days": 30})).await.expect(200);
    let hook =
        tenant.post("/v1/webhooks", json!({"url": "https://example.com/in?token=hush"})).await.expect(201).json();
    assert_eq!(hook["created_by"], key["id"], "{hook}");
    let one = format!("/v1/webhooks/{}", hook["id"].as_str().unwrap());
    tenant.patch(&one, json!({"enabled": false})).await.expect(200);
    let rotated = tenant.post_empty(&format!("{one}/rotate-secret")).await.expect(200).json();
    tenant.delete(&one).await.expect(204);
    let account = tenant.account("Sales").await;
    tenant.delete(&format!("/v1/accounts/{account}")).await.expect(204);
    let trail = tenant.get("/v1/audit").await.expect(200).json();
    let of = |subject: &str, action: &str| (subject.to_owned(), action.to_owned());
    let mut expected = vec![
        of("tenant", "create"),
        of("key", "create"),
        of("tenant", "change"),
        of("webhook", "create"),
        of("webhook", "change"),
        of("webhook", "rotate_secret"),
        of("webhook", "delete"),
        of("account", "create"),
        of("account", "delete"),
    ];
    assert_eq!(steps(&trail), expected);
    for entry in trail["data"].as_array().unwrap() {
        let by_admin = entry["subject"] == "tenant" || entry["subject"] == "key";
        assert_eq!(entry["operator"] == key["id"], !by_admin, "{entry}");
        assert!(entry["subject_id"].is_string() && entry["operator"].is_string(), "{entry}");
    }
    let words = trail.to_string();
    for secret in
        ["hush", key["secret"].as_str().unwrap(), hook["secret"].as_str().unwrap(), rotated["secret"].as_str().unwrap()]
    {
        assert!(!words.contains(secret), "{words}");
    }

    admin.delete(&format!("{path}/keys/{}", key["id"].as_str().unwrap())).await.expect(204);
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.expect(404);
    expected.extend([of("key", "revoke"), of("tenant", "delete")]);
    let trail = admin.get(&format!("{path}/audit")).await.expect(200).json();
    assert_eq!(steps(&trail), expected);
}

/// R96: how long a tenant's rows are kept is its own, within what makes sense.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_tenant_keeps_for_as_long_as_it_says(db: PgPool) {
    let api = TestApi::start(db).await;
    let (admin, tenant) = (api.admin().await, api.tenant().await);
    let path = format!("/v1/tenants/{}", tenant.tenant.unwrap());
    let before = admin.get(&path).await.expect(200).json();
    assert_eq!((&before["messages_kept_days"], &before["audit_kept_days"]), (&Value::Null, &Value::Null));
    let change = async |body: Value| admin.patch(&path, body).await;
    let after = change(json!({"messages_kept_days": 30, "audit_kept_days": 400})).await.expect(200).json();
    assert_eq!((&after["messages_kept_days"], &after["audit_kept_days"]), (&json!(30), &json!(400)));
    let after = change(json!({"messages_kept_days": null})).await.expect(200).json();
    assert_eq!((&after["messages_kept_days"], &after["audit_kept_days"]), (&Value::Null, &json!(400)));
    for field in ["messages_kept_days", "audit_kept_days"] {
        for days in [0, -1, 3_651] {
            assert_eq!(change(json!({field: days})).await.expect(422).fields(), [field]);
        }
    }
    tenant.patch(&path, json!({})).await.expect(403);
}
