//! Requests that may be repeated: one mechanism for every POST that creates or sends.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use crate::test_api::{Answer, Gateway, TestApi};

const TARGET: &str = "120363041234567890@g.us";

async fn post_as(client: &Gateway, path: &str, key: &str, body: Option<&Value>) -> Answer {
    let request = client.request(Method::POST, path).header("Idempotency-Key", key);
    Answer::of(if let Some(body) = body { request.json(body) } else { request }).await
}

/// R76: with an account goes what was answered about it, texts and all.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn answers_go_with_their_account(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let made = post_as(&tenant, "/v1/accounts", "a", Some(&json!({"label": "Sales"}))).await.expect(201).json();
    let account = made["id"].as_str().unwrap();
    api.set_status(account, "connected").await;
    let message = json!({"to": TARGET, "text": "between us"});
    post_as(&tenant, &format!("/v1/accounts/{account}/messages"), "m", Some(&message)).await.expect(202);
    let reminder = json!({"account_id": account, "name": "R", "targets": [TARGET], "messages": ["between us"],
        "start": "2190-01-04T09:00", "timezone": "UTC"});
    post_as(&tenant, "/v1/reminders", "r", Some(&reminder)).await.expect(201);
    let kept = async || -> i64 {
        let count = "SELECT count(*) FROM answers WHERE NOT sealed";
        sqlx::query_scalar(count).fetch_one(&api.db).await.unwrap()
    };
    assert_eq!(kept().await, 3);
    sqlx::query("DELETE FROM accounts WHERE id::text = $1").bind(account).execute(&api.db).await.unwrap();
    assert_eq!(kept().await, 0);
}

/// R76: the document names the header at each POST but those that neither create nor send, and each takes it: one that is no
/// key is refused before anything else.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn every_post_that_creates_or_sends_takes_the_header(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, admin) = (api.tenant().await, api.admin().await);
    let document = serde_json::to_value(api::document()).unwrap();
    let mut exempt: HashSet<&str> = api::openapi::NOT_REPEATABLE.iter().map(|(path, _)| *path).collect();
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("post") else { continue };
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let is_named = parameters.iter().any(|one| one["name"] == "Idempotency-Key" && one["in"] == "header");
        let is_admins = operation["security"].to_string().contains("admin_key");
        let concrete: String = path
            .split('/')
            .map(|part| match part.strip_prefix('{') {
                Some(_) => format!("/{}", Uuid::nil()),
                None => format!("/{part}"),
            })
            .collect();
        let client = if is_admins { &admin } else { &tenant };
        let answer = post_as(client, &concrete[1..], &"k".repeat(256), None).await;
        let refuses = answer.status == 422 && answer.fields() == ["Idempotency-Key"];
        if exempt.remove(path.as_str()) {
            assert!(!is_named && !refuses, "{path} is exempt");
            continue;
        }
        assert!(is_named && refuses, "{path}: {}", answer.text());
        for (status, response) in operation["responses"].as_object().unwrap() {
            let says = response["headers"].get("Idempotency-Replayed").is_some();
            assert_eq!(says, status.starts_with('2'), "{path} {status}");
        }
        seen += 1;
    }
    assert_eq!(exempt, HashSet::new(), "exempt, and not there");
    assert!(seen >= 14, "{seen}");
}

/// One request of each kind, and what counts its effects.
struct Case {
    path: String,
    body: Option<Value>,
    status: u16,
    effects: &'static str,
    location: bool,
}

fn case(path: impl Into<String>, body: Option<Value>, status: u16, effects: &'static str, location: bool) -> Case {
    Case { path: path.into(), body, status, effects, location }
}

/// Another request that reads well.
fn changed(body: Option<Value>) -> Value {
    let mut body = body.unwrap_or_else(|| json!({}));
    for field in ["label", "text", "name"] {
        if body.get(field).is_some() {
            body[field] = json!("another");
        }
    }
    if body["messages"][0]["to"].is_string() {
        body["messages"][0]["text"] = json!("another");
    }
    for (field, value) in [("url", "https://example.com/another"), ("method", "code")] {
        if body.get(field).is_some() {
            body[field] = json!(value);
        }
    }
    body
}

/// A run whose window has closed: it can be resumed, and then canceled.
async fn paused_run(api: &TestApi, tenant: &Gateway, account: &str) -> String {
    let wish = json!({"account_id": account, "name": "R", "messages": ["x"], "targets": [TARGET, "2@g.us"], "start": "2190-01-04T09:00",
        "timezone": "UTC", "recurrence": {"kind": "daily"}, "window_end": 24});
    tenant.post("/v1/reminders", wish).await.expect(201);
    sqlx::query("UPDATE reminders SET next_fire_at = now()").execute(&api.db).await.unwrap();
    let run = store::runs::fire_due(api.store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    store::runs::expand_run(api.store.for_all_tenants(), run).await.unwrap().quietly();
    for sql in [
        "UPDATE messages SET state = 'sent', sent_at = now() WHERE run_id = $1 AND run_position = 1",
        "UPDATE messages SET state = 'expired', failed_at = now() WHERE run_id = $1 AND state = 'queued'",
    ] {
        sqlx::query(sql).bind(run).execute(&api.db).await.unwrap();
    }
    store::runs::settle_runs(api.store.for_all_tenants(), &[run]).await.unwrap().quietly();
    run.to_string()
}

/// R76: whatever is asked for again under its key is answered alike, with status, body and place, and is done once; under the
/// same key nothing else is done.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_repeated_request_is_done_once_and_answered_alike(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, admin) = (api.tenant().await, api.admin().await);
    let linked = tenant.account("Linked").await;
    api.set_status(&linked, "connected").await;
    let fresh = tenant.account("Fresh").await;
    let run = paused_run(&api, &tenant, &linked).await;
    let hook = tenant.post("/v1/webhooks", json!({"url": "https://example.com/a"})).await.expect(201).id();
    let other = tenant.post("/v1/webhooks", json!({"url": "https://example.com/b"})).await.expect(201).id();
    let delivery = tenant.post_empty(&format!("/v1/webhooks/{hook}/test")).await.expect(202).id();
    let keys = format!("/v1/tenants/{}/keys", tenant.tenant.unwrap());
    let reminder = json!({"account_id": linked, "name": "R", "messages": ["x"], "targets": [TARGET],
        "start": "2190-01-04T09:00", "timezone": "UTC"});
    let document = serde_json::to_value(api::document()).unwrap();
    let versions = "SELECT sum(version)::bigint FROM webhooks";
    let pairings = "SELECT sum(generation)::bigint FROM accounts";
    let cases = [
        (&tenant, case("/v1/accounts", Some(json!({"label": "A"})), 201, "SELECT count(*) FROM accounts", true)),
        (
            &tenant,
            case(
                format!("/v1/accounts/{linked}/messages"),
                Some(json!({"to": TARGET, "text": "x"})),
                202,
                "SELECT count(*) FROM messages",
                true,
            ),
        ),
        (
            &tenant,
            case(
                format!("/v1/accounts/{linked}/messages/batch"),
                Some(json!({"messages": [{"to": TARGET, "text": "x"}]})),
                202,
                "SELECT count(*) FROM messages",
                false,
            ),
        ),
        (&tenant, case("/v1/reminders", Some(reminder), 201, "SELECT count(*) FROM reminders", true)),
        (
            &tenant,
            case(
                "/v1/webhooks",
                Some(json!({"url": "https://example.com/c"})),
                201,
                "SELECT count(*) FROM webhooks",
                true,
            ),
        ),
        (
            &tenant,
            case(format!("/v1/webhooks/{hook}/test"), None, 202, "SELECT count(*) FROM webhook_deliveries", false),
        ),
        (&tenant, case(format!("/v1/webhooks/{hook}/deliveries/{delivery}/retry"), None, 202, versions, false)),
        (
            &tenant,
            case(
                format!("/v1/webhooks/{other}/rotate-secret"),
                None,
                200,
                "SELECT count(*) FROM webhooks WHERE previous_secret IS NOT NULL",
                false,
            ),
        ),
        (
            &tenant,
            case(
                format!("/v1/runs/{run}/resume"),
                None,
                202,
                "SELECT count(*) FROM events WHERE kind = 'run.changed'",
                false,
            ),
        ),
        (&tenant, case(format!("/v1/accounts/{fresh}/pair"), Some(json!({"method": "qr"})), 202, pairings, true)),
        (&admin, case("/v1/tenants", Some(json!({"name": "T"})), 201, "SELECT count(*) FROM tenants", true)),
        (&admin, case(keys, Some(json!({"name": "K"})), 201, "SELECT count(*) FROM api_keys", false)),
    ];
    for (client, Case { path, body, status, effects, location }) in cases {
        let before = api.count(effects).await;
        let first = post_as(client, &path, "order 17", body.as_ref()).await.expect(status);
        assert_eq!(first.header("idempotency-replayed"), "", "{path}");
        assert_eq!(first.headers.contains_key("location"), location, "{path}");
        if location {
            client.get(first.header("location")).await.expect(200);
            let described = document["paths"][path.replace(&linked, "{account}").replace(&fresh, "{account}")]["post"]
                ["responses"]
                .clone();
            assert!(!described[status.to_string()]["headers"]["Location"].is_null(), "{path}");
        }
        assert_eq!(api.count(effects).await, before + 1, "{path}");
        for _ in 0..2 {
            let again = post_as(client, &path, "order 17", body.as_ref()).await.expect(status);
            assert_eq!(again.header("idempotency-replayed"), "true", "{path}");
            for header in ["content-type", "location", "cache-control"] {
                assert_eq!(again.header(header), first.header(header), "{path} {header}");
            }
            assert_eq!(again.text(), first.text(), "{path}");
        }
        assert_eq!(api.count(effects).await, before + 1, "{path}");
        let another = post_as(client, &path, "order 17", Some(&changed(body))).await.expect(422);
        assert_eq!(another.problem(), "idempotency-key-reused", "{path}");
        for forget in ["DELETE FROM answers", "DELETE FROM idempotency_keys"] {
            sqlx::query(forget).execute(&api.db).await.unwrap();
        }
    }
    let canceled = format!("/v1/runs/{run}/cancel");
    sqlx::query("UPDATE runs SET status = 'paused', resumed_at = NULL").execute(&api.db).await.unwrap();
    let first = post_as(&tenant, &canceled, "c", None).await.expect(200);
    tenant.post_empty(&canceled).await.expect(409);
    assert_eq!(post_as(&tenant, &canceled, "c", None).await.expect(200).text(), first.text());
}

/// R76: the request is its method, path and body, however the fields are ordered; a key is a tenant's own.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn another_request_under_the_same_key_is_refused(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, other) = (api.tenant().await, api.tenant().await);
    let (account, second) = (tenant.account("A").await, tenant.account("B").await);
    for id in [&account, &second] {
        api.set_status(id, "connected").await;
    }
    let path = |id: &str| format!("/v1/accounts/{id}/messages");
    let post = async |id: &str, body: &str| {
        let request = tenant.request(Method::POST, &path(id)).header("Idempotency-Key", "k");
        Answer::of(request.header("content-type", "application/json").body(body.to_owned())).await
    };
    let first = post(&account, r#"{"to":"1@g.us","text":"x"}"#).await.expect(202);
    assert_eq!(post(&account, r#" { "text": "\u0078", "to": "1@g.us" }"#).await.expect(202).id(), first.id());
    for body in [
        r#"{"to":"1@g.us","text":"y"}"#,
        r#"{"to":"2@g.us","text":"x"}"#,
        r#"{"to":"1@g.us","text":"x","expires_at":"2999-01-01T00:00:00Z"}"#,
        r#"{"to":"1@g.us","text":"x","expires_at":null}"#,
    ] {
        assert_eq!(post(&account, body).await.expect(422).problem(), "idempotency-key-reused", "{body}");
    }
    let elsewhere = post(&second, r#"{"to":"1@g.us","text":"x"}"#).await.expect(422);
    assert_eq!(elsewhere.problem(), "idempotency-key-reused");
    let account_of_same_key = post_as(&tenant, "/v1/accounts", "k", Some(&json!({"label": "x"}))).await.expect(422);
    assert_eq!(account_of_same_key.problem(), "idempotency-key-reused");
    post_as(&other, "/v1/accounts", "k", Some(&json!({"label": "x"}))).await.expect(201);
    let twice =
        tenant.request(Method::POST, "/v1/accounts").header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    assert_eq!(Answer::of(twice.json(&json!({"label": "x"}))).await.expect(422).fields(), ["Idempotency-Key"]);
    assert_eq!(api.count("SELECT count(*) FROM messages").await, 1);
}

/// R76: what was refused did nothing: the same request may be tried again under its key. What was done is answered again even if
/// it would be refused by now.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_refusal_is_not_kept_and_an_answer_is(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("A").await;
    let path = format!("/v1/accounts/{account}/messages");
    let soon = (process::clock::now() + chrono::Duration::milliseconds(1_500)).to_rfc3339();
    let body = json!({"to": TARGET, "text": "x", "expires_at": soon});
    post_as(&tenant, &path, "k", Some(&body)).await.expect(409);
    api.set_status(&account, "connected").await;
    let first = post_as(&tenant, &path, "k", Some(&body)).await.expect(202);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    while tenant.post(&path, body.clone()).await.status != 422 {
        assert!(tokio::time::Instant::now() < deadline, "it does not expire");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    tenant.post_empty(&format!("/v1/accounts/{account}/unpair")).await.expect(200);
    assert_eq!(post_as(&tenant, &path, "k", Some(&body)).await.expect(202).text(), first.text());
}

/// R76: of many equal requests at the same instant one is done, and all are answered alike.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn equal_requests_at_once_are_done_once(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, admin) = (api.tenant().await, api.admin().await);
    for (client, path, body) in
        [(&tenant, "/v1/accounts", json!({"label": "A"})), (&admin, "/v1/tenants", json!({"name": "Once"}))]
    {
        let requests = (0..20).map(|_| post_as(client, path, "k", Some(&body)));
        let answers = futures::future::join_all(requests).await;
        let texts: HashSet<_> = answers.into_iter().map(|answer| answer.expect(201).text()).collect();
        assert_eq!(texts.len(), 1, "{path}");
    }
    assert_eq!(api.count("SELECT count(*) FROM accounts").await, 1);
    assert_eq!(api.count("SELECT count(*) FROM tenants WHERE name = 'Once'").await, 1);
}

/// R76: an answer that holds a secret is given again, to the same API key alone, and does not stand in the database.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_secret_is_answered_again_and_kept_sealed(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, admin, colleague) = (api.tenant().await, api.admin().await, api.admin().await);
    let keys = format!("/v1/tenants/{}/keys", tenant.tenant.unwrap());
    let body = json!({"name": "K"});
    let made = post_as(&admin, &keys, "k", Some(&body)).await.expect(201);
    let again = post_as(&admin, &keys, "k", Some(&body)).await.expect(201);
    assert_eq!((again.text(), again.header("cache-control")), (made.text(), "no-store"));
    let key = made.json()["secret"].as_str().unwrap().to_owned();
    let second = api.client(&key);
    let refused = post_as(&colleague, &keys, "k", Some(&body)).await.expect(409);
    assert_eq!(refused.json()["detail"], "This was done for another API key, which alone may see the answer");
    // an answer without a secret is any key's of the tenant
    let account = json!({"label": "A"});
    let first = post_as(&tenant, "/v1/accounts", "a", Some(&account)).await.expect(201);
    assert_eq!(post_as(&second, "/v1/accounts", "a", Some(&account)).await.expect(201).text(), first.text());
    let hook = post_as(&tenant, "/v1/webhooks", "w", Some(&json!({"url": "https://example.com/"}))).await.expect(201);
    let signing = hook.json()["secret"].as_str().unwrap().to_owned();
    post_as(&second, "/v1/webhooks", "w", Some(&json!({"url": "https://example.com/"}))).await.expect(409);
    let kept: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT body FROM answers WHERE sealed").fetch_all(&api.db).await.unwrap();
    assert_eq!(kept.len(), 2);
    for (secret, body) in [(&key, &kept[0]), (&signing, &kept[0]), (&key, &kept[1]), (&signing, &kept[1])] {
        assert!(!body.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
}

/// R76: a message that the release before accepted under a key is not sent again by this one, and the other way round.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_release_before_is_understood(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("A").await;
    api.set_status(&account, "connected").await;
    let path = format!("/v1/accounts/{account}/messages");
    let body = json!({"to": TARGET, "text": "x"});
    let message = tenant.post(&path, body.clone()).await.expect(202).id();
    let mut digest = Sha256::new();
    let id: Uuid = account.parse().unwrap();
    for part in [b"message".as_slice(), id.as_bytes(), TARGET.as_bytes(), b"x", b""] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let fingerprint: [u8; 32] = digest.finalize().into();
    let of_before =
        "INSERT INTO idempotency_keys (tenant_id, key, fingerprint, resource_id) VALUES ($1, 'before', $2, $3)";
    sqlx::query(of_before)
        .bind(tenant.tenant.unwrap())
        .bind(fingerprint.as_slice())
        .bind(message.parse::<Uuid>().unwrap())
        .execute(&api.db)
        .await
        .unwrap();
    let again = post_as(&tenant, &path, "before", Some(&body)).await.expect(202);
    assert_eq!((again.id(), again.header("idempotency-replayed")), (message, "true"));
    let other = post_as(&tenant, &path, "before", Some(&json!({"to": TARGET, "text": "y"}))).await.expect(422);
    assert_eq!(other.problem(), "idempotency-key-reused");
    assert_eq!(api.count("SELECT count(*) FROM messages").await, 1);
    let ours = post_as(&tenant, &path, "ours", Some(&body)).await.expect(202).id();
    let noted: (Vec<u8>, Uuid) =
        sqlx::query_as("SELECT fingerprint, resource_id FROM idempotency_keys WHERE key = 'ours'")
            .fetch_one(&api.db)
            .await
            .unwrap();
    assert_eq!((noted.0.as_slice(), noted.1.to_string()), (fingerprint.as_slice(), ours));
}
