//! R64: whatever belongs to another tenant does not exist.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::test_api::{Answer, Gateway, TestApi};

fn reminder(account: &str) -> Value {
    json!({"account_id": account, "name": "R", "messages": ["x"], "targets": ["1@g.us"], "start": "2199-01-01T09:00",
        "timezone": "Europe/Berlin"})
}

async fn add_run(api: &TestApi, tenant: &Gateway) -> String {
    sqlx::query_scalar::<_, uuid::Uuid>(
        "INSERT INTO runs (id, tenant_id, reminder_name, account_label, version, fire_at, bodies)
         VALUES (gen_random_uuid(), $1, 'r', 'a', 1, now(), '{}') RETURNING id",
    )
    .bind(tenant.tenant.unwrap().0)
    .fetch_one(&api.db)
    .await
    .unwrap()
    .to_string()
}

async fn add_notification(api: &TestApi, tenant: &Gateway) -> String {
    sqlx::query_scalar::<_, uuid::Uuid>(
        "INSERT INTO notifications (id, tenant_id, kind, reminder_name, body)
         VALUES (gen_random_uuid(), $1, 'fired', 'r', 'x') RETURNING id",
    )
    .bind(tenant.tenant.unwrap().0)
    .fetch_one(&api.db)
    .await
    .unwrap()
    .to_string()
}

/// R64: every route with an id in its path answers a stranger as if there were nothing, and changes nothing.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn another_tenants_things_are_not_found(db: PgPool) {
    let api = TestApi::start(db).await;
    let (owner, stranger) = (api.tenant().await, api.tenant().await);
    let account = owner.account("Sales").await;
    api.set_status(&account, "connected").await;
    let text = json!({"to": "4917012345678", "text": "x"});
    let message = owner.post(&format!("/v1/accounts/{account}/messages"), text.clone()).await.expect(202).id();
    let planned = owner.post("/v1/reminders", reminder(&account)).await.expect(201).id();
    let run = add_run(&api, &owner).await;
    let hook = owner.post("/v1/webhooks", json!({"url": "https://example.com/"})).await.expect(201).id();
    let hook_path = |rest: &str| format!("/v1/webhooks/{hook}{rest}");
    let delivery = owner.post_empty(&hook_path("/test")).await.expect(202).id();
    let notification = add_notification(&api, &owner).await;
    let before = rows(&api).await;
    let answer = json!({"clientDataJSON": "AAAA", "authenticatorData": "AAAA", "signature": "AAAA"});
    let passkey = json!({"rawId": "AAAA", "response": answer});
    let account_path = |rest: &str| format!("/v1/accounts/{account}{rest}");
    let reminder_path = format!("/v1/reminders/{planned}");
    let strange = reminder(&stranger.account("Mine").await);
    let before_accounts = api.count("SELECT count(*) FROM accounts").await;
    for (method, path, body) in [
        (Method::GET, account_path(""), None),
        (Method::PATCH, account_path(""), Some(json!({"label": "stolen"}))),
        (Method::DELETE, account_path(""), None),
        (Method::POST, account_path("/pair"), None),
        (Method::GET, account_path("/pairing"), None),
        (Method::GET, account_path("/qr"), None),
        (Method::POST, account_path("/unpair"), None),
        (Method::POST, account_path("/pair/passkey"), Some(passkey)),
        (Method::POST, account_path("/pair/passkey/confirm"), None),
        (Method::GET, account_path("/groups"), None),
        (Method::POST, account_path("/groups/sync"), None),
        (Method::POST, account_path("/messages/batch"), Some(json!({"messages": [text]}))),
        (Method::POST, account_path("/messages"), Some(text)),
        (Method::GET, account_path("/messages"), None),
        (Method::GET, format!("/v1/messages/{message}"), None),
        (Method::POST, "/v1/reminders".to_owned(), Some(reminder(&account))),
        (Method::GET, reminder_path.clone(), None),
        (Method::PUT, reminder_path.clone(), Some(strange)),
        (Method::DELETE, reminder_path.clone(), None),
        (Method::GET, format!("{reminder_path}/runs"), None),
        (Method::POST, format!("{reminder_path}/pause"), None),
        (Method::POST, format!("{reminder_path}/resume"), None),
        (Method::GET, format!("/v1/runs/{run}"), None),
        (Method::GET, hook_path(""), None),
        (Method::PATCH, hook_path(""), Some(json!({"url": "https://stranger.example/"}))),
        (Method::DELETE, hook_path(""), None),
        (Method::POST, hook_path("/rotate-secret"), None),
        (Method::POST, hook_path("/test"), None),
        (Method::GET, hook_path("/deliveries"), None),
        (Method::POST, hook_path(&format!("/deliveries/{delivery}/retry")), None),
        (Method::POST, format!("/v1/runs/{run}/resume"), None),
        (Method::POST, format!("/v1/runs/{run}/cancel"), None),
        (Method::POST, format!("/v1/notifications/{notification}/read"), None),
    ] {
        let request = stranger.request(method.clone(), &path);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = Answer::of(request).await;
        assert_eq!(answer.status.as_u16(), 404, "{method} {path}: {}", answer.text());
    }
    // what has no id in its path touches one's own only
    assert_eq!(stranger.delete("/v1/runs").await.expect(200).json()["removed"], 0);
    assert_eq!(stranger.post_empty("/v1/notifications/read").await.expect(200).json()["read"], 0);
    assert_eq!(rows(&api).await, before);
    assert_eq!(api.count("SELECT count(*) FROM accounts").await, before_accounts);
    owner.get(&format!("/v1/runs/{run}")).await.expect(200);
}

/// Everything that a stranger could have changed of the owner's.
async fn rows(api: &TestApi) -> Vec<String> {
    let sql = "SELECT a.label || a.status || a.wanted || a.generation || l.epoch FROM accounts a JOIN leases l ON l.account_id = a.id
               WHERE label <> 'Mine' UNION ALL SELECT id::text || version || status FROM reminders UNION ALL SELECT id::text || state FROM messages
               UNION ALL SELECT id::text || url || secret || enabled FROM webhooks UNION ALL SELECT id::text || state FROM webhook_deliveries
               UNION ALL SELECT id::text || status FROM runs UNION ALL SELECT id::text || coalesce(read_at::text, '-') FROM notifications
               ORDER BY 1";
    sqlx::query_scalar(sql).fetch_all(&api.db).await.unwrap()
}

/// R64: lists hold one's own only, whatever is asked for.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn lists_hold_ones_own_only(db: PgPool) {
    let api = TestApi::start(db).await;
    let (owner, stranger) = (api.tenant().await, api.tenant().await);
    let account = owner.account("Sales").await;
    owner.post("/v1/reminders", reminder(&account)).await.expect(201);
    owner.post("/v1/webhooks", json!({"url": "https://example.com/"})).await.expect(201);
    let run = add_run(&api, &owner).await;
    add_notification(&api, &owner).await;
    sqlx::query("UPDATE runs SET account_id = $1")
        .bind(account.parse::<uuid::Uuid>().unwrap())
        .execute(&api.db)
        .await
        .unwrap();
    let dashboard = stranger.get("/v1/dashboard").await.expect(200).json();
    assert_eq!((&dashboard["accounts"]["total"], &dashboard["reminders"]["total"]), (&json!(0), &json!(0)));
    assert_eq!((&dashboard["unread_notifications"], &dashboard["recent_runs"]), (&json!(0), &json!([])));
    assert_eq!(owner.get("/v1/dashboard").await.expect(200).json()["recent_runs"][0]["id"], json!(run));
    for path in [
        "/v1/webhooks".to_owned(),
        "/v1/accounts".to_owned(),
        "/v1/reminders".to_owned(),
        format!("/v1/reminders?account_id={account}"),
        "/v1/runs".to_owned(),
        format!("/v1/runs?account_id={account}"),
        "/v1/notifications".to_owned(),
        format!("/v1/audit?account_id={account}"),
    ] {
        assert_eq!(stranger.get(&path).await.expect(200).json()["data"], json!([]), "{path}");
        assert_eq!(owner.get(&path).await.expect(200).json()["data"].as_array().unwrap().len(), 1, "{path}");
    }
    // each sees how its own key was made, and no more
    let trail = |page: serde_json::Value| {
        page["data"].as_array().unwrap().iter().map(|e| e["subject"].clone()).collect::<Vec<_>>()
    };
    assert!(!trail(stranger.get("/v1/audit").await.expect(200).json()).contains(&json!("account")));
    assert!(trail(owner.get("/v1/audit").await.expect(200).json()).contains(&json!("account")));
}

/// R44, R64: a reminder can't be moved to another tenant's account.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_reminder_stays_with_its_tenant(db: PgPool) {
    let api = TestApi::start(db).await;
    let (owner, stranger) = (api.tenant().await, api.tenant().await);
    let (account, foreign) = (owner.account("Sales").await, stranger.account("Other").await);
    let planned = owner.post("/v1/reminders", reminder(&account)).await.expect(201);
    let moved = owner.put(&format!("/v1/reminders/{}", planned.id()), reminder(&foreign)).await.expect(404);
    assert_eq!(moved.fields(), ["account_id"]);
    assert_eq!(owner.post("/v1/reminders", reminder(&foreign)).await.expect(404).fields(), ["account_id"]);
    assert_eq!(owner.get(&format!("/v1/reminders/{}", planned.id())).await.expect(200).json(), planned.json());
}
