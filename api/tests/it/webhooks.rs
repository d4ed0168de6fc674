//! Webhooks over the API.

use domain::account::Status;
use domain::event::{AccountStatusChanged, Event, GroupsSynced};
use domain::id::AccountId;
use serde_json::{Value, json};
use sqlx::PgPool;
use store::events::Events;

use crate::test_api::{Gateway, TestApi};

const URL: &str = "https://example.com/hook";

async fn webhook(client: &Gateway) -> Value {
    client.post("/v1/webhooks", json!({"url": URL})).await.expect(201).json()
}

fn path(webhook: &Value, rest: &str) -> String {
    format!("/v1/webhooks/{}{rest}", webhook["id"].as_str().unwrap())
}

/// R63: a webhook is made, read, listed, changed and deleted; its secret is shown once.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_webhooks_life(db: PgPool) {
    let api = TestApi::start(db).await;
    let client = api.tenant().await;
    let asked =
        json!({"url": "https://EXAMPLE.com:443/a?b=c#d", "kinds": ["run.changed", "account.deleted", "run.changed"]});
    let made = client.post("/v1/webhooks", asked).await.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.json();
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(made["url"], "https://example.com/a?b=c");
    assert_eq!(made["kinds"], json!(["account.deleted", "run.changed"]));
    assert_eq!(
        (&made["enabled"], &made["disabled_reason"], &made["failures"]),
        (&json!(true), &Value::Null, &json!(0))
    );
    let read = client.get(&path(&made, "")).await.expect(200);
    assert!(!read.text().contains("secret") && !read.text().contains("whsec_"));
    let second = webhook(&client).await;
    let listed = client.get("/v1/webhooks?limit=1").await.expect(200);
    assert!(!listed.text().contains("whsec_"));
    let listed = listed.json();
    assert_eq!(listed["data"], json!([read.json()]));
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest = client.get(&format!("/v1/webhooks?cursor={cursor}")).await.expect(200).json();
    assert_eq!((&rest["data"][0]["id"], &rest["next_cursor"]), (&second["id"], &Value::Null));

    let changed = client.patch(&path(&made, ""), json!({"kinds": [], "enabled": false})).await.expect(200).json();
    assert_eq!((&changed["kinds"], &changed["enabled"], &changed["url"]), (&json!([]), &json!(false), &made["url"]));
    client.post_empty(&path(&made, "/test")).await.expect(409);
    client.patch(&path(&made, ""), json!({"enabled": true})).await.expect(200);
    client.delete(&path(&made, "")).await.expect(204);
    client.delete(&path(&made, "")).await.expect(404);
    client.get(&path(&made, "")).await.expect(404);
}

/// R63: what is wrong is named, all of it at once; an address within the house's network is refused.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_wrong_is_named(db: PgPool) {
    let api = TestApi::start(db).await;
    let client = api.tenant().await;
    let made = webhook(&client).await;
    for (body, fields) in [
        (json!({}), vec!["url"]),
        (json!({"url": "http://example.com/"}), vec!["url"]),
        (json!({"url": "https://u:p@example.com/"}), vec!["url"]),
        (json!({"url": "https://127.0.0.1/"}), vec!["url"]),
        (json!({"url": "https://169.254.169.254/latest/meta-data"}), vec!["url"]),
        (json!({"url": "https://[::ffff:10.0.0.1]/"}), vec!["url"]),
        (json!({"url": "https://localhost/"}), vec!["url"]),
        (json!({"url": "nonsense", "kinds": ["Nonsense"]}), vec!["url", "kinds"]),
        (json!({"url": URL, "kinds": ["message.recieved"]}), vec!["kinds"]),
        (json!({"url": URL, "kinds": "all"}), vec!["kinds"]),
        (json!({"url": URL, "secret": "mine"}), vec!["secret"]),
    ] {
        let answer = client.post("/v1/webhooks", body.clone()).await.expect(422);
        assert_eq!(answer.fields(), fields, "{body}");
    }
    for (body, fields) in [
        (json!({"url": "https://10.0.0.1/"}), vec!["url"]),
        (json!({"kinds": ["x"]}), vec!["kinds"]),
        (json!({"enabled": "yes"}), vec!["enabled"]),
        (json!({"disabled_reason": null}), vec!["disabled_reason"]),
    ] {
        assert_eq!(client.patch(&path(&made, ""), body.clone()).await.expect(422).fields(), fields, "{body}");
    }
    for query in ["limit=0", "cursor=x", "state=lost"] {
        let field = query.split('=').next().unwrap();
        let answer = client.get(&format!("{}?{query}", path(&made, "/deliveries"))).await.expect(422);
        assert_eq!(answer.fields(), [field]);
    }
    assert_eq!(api.count("SELECT count(*) FROM webhooks").await, 1);
}

/// R63: after a change of the secret the one before signs, too, for a while.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_secret_is_changed(db: PgPool) {
    let api = TestApi::start(db).await;
    let client = api.tenant().await;
    let made = webhook(&client).await;
    let anew = client.post_empty(&path(&made, "/rotate-secret")).await.expect(200);
    assert_eq!(anew.header("cache-control"), "no-store");
    assert_ne!(anew.json()["secret"], made["secret"]);
    let kept = "SELECT count(*) FROM webhooks WHERE previous_secret IS NOT NULL AND previous_secret <> secret
                AND previous_secret_until BETWEEN now() + interval '23 hours' AND now() + interval '25 hours'";
    assert_eq!(api.count(kept).await, 1);
}

/// R63: deliveries are listed, newest first, by state; what failed is tried again, what was delivered is not.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn deliveries_are_listed_and_tried_again(db: PgPool) {
    let api = TestApi::start(db).await;
    let client = api.tenant().await;
    let made = webhook(&client).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let delivery = client.post_empty(&path(&made, "/test")).await.expect(202).json();
        assert_eq!((&delivery["kind"], &delivery["state"]), (&json!("webhook.test"), &json!("pending")));
        assert!(delivery.get("data").is_none() && delivery["event_id"].is_null());
        ids.push(delivery["id"].as_str().unwrap().to_owned());
    }
    let end = |state: &str, id: &str| {
        let data = if state == "delivered" { "NULL" } else { "data" };
        format!(
            "WITH ended AS (UPDATE webhook_deliveries SET state = '{state}', finished_at = now(), attempts = 9, data = {data}
             WHERE id = '{id}' RETURNING 1) SELECT count(*) FROM ended"
        )
    };
    assert_eq!(api.count(&end("failed", &ids[0])).await + api.count(&end("delivered", &ids[1])).await, 2);
    let list = async |query: &str| {
        let page = client.get(&format!("{}{query}", path(&made, "/deliveries"))).await.expect(200).json();
        let listed = page["data"].as_array().unwrap().iter().map(|d| d["id"].as_str().unwrap().to_owned());
        (listed.collect::<Vec<_>>(), page["next_cursor"].as_str().map(str::to_owned))
    };
    let reversed: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(list("").await, (reversed.clone(), None));
    let (first, cursor) = list("?limit=2").await;
    assert_eq!(first, reversed[..2]);
    assert_eq!(list(&format!("?cursor={}", cursor.unwrap())).await, (reversed[2..].to_vec(), None));
    assert_eq!(list("?state=failed").await.0, [ids[0].clone()]);
    let retry = |id: &str| path(&made, &format!("/deliveries/{id}/retry"));
    let again = client.post_empty(&retry(&ids[0])).await.expect(202).json();
    assert_eq!(
        (&again["state"], &again["attempts"], &again["finished_at"]),
        (&json!("pending"), &json!(0), &Value::Null)
    );
    client.post_empty(&retry(&ids[1])).await.expect(409);
    client.post_empty(&retry(&uuid::Uuid::new_v4().to_string())).await.expect(404);
    // a delivery is found at its own webhook only
    let other = webhook(&client).await;
    client.post_empty(&path(&other, &format!("/deliveries/{}/retry", ids[0]))).await.expect(404);
}

/// R63: the twenty-first is refused.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_tenant_has_twenty_at_most(db: PgPool) {
    let api = TestApi::start(db).await;
    let client = api.tenant().await;
    for _ in 0..20 {
        webhook(&client).await;
    }
    assert_eq!(client.post("/v1/webhooks", json!({"url": URL})).await.expect(409).problem(), "too-many-webhooks");
}

/// R97: what failed, or a stretch of time, is sent again, a bounded part at a time; a call that is made twice sends nothing twice.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn events_are_sent_again(db: PgPool) {
    let api = TestApi::start(db).await;
    let client = api.tenant().await;
    let made = webhook(&client).await;
    let id = made["id"].as_str().unwrap();
    // 2,500 events within 2,500 seconds; every second one is of a kind that the webhook carries
    let mut events = Events::default();
    for n in 0..2_500 {
        let (tenant, account_id) = (client.tenant.unwrap(), AccountId::new());
        let (status, previous) = (Status::Connected, Status::Disconnected);
        let event = match n % 2 {
            0 => Event::AccountStatusChanged(AccountStatusChanged { account_id, status, previous, reason: None }),
            _ => Event::GroupsSynced(GroupsSynced { account_id, groups: n }),
        };
        events.push(tenant, Some(account_id), &event);
    }
    events.write(&mut api.db.acquire().await.unwrap()).await.unwrap();
    api.count(
        "WITH past AS (
             UPDATE events SET created_at = '2026-11-27T08:00:00Z'::timestamptz
                 + make_interval(secs => id - (SELECT min(id) FROM events)) RETURNING 1) SELECT count(*) FROM past",
    )
    .await;
    client.patch(&path(&made, ""), json!({"kinds": ["account.status_changed"]})).await.expect(200);
    api.count(&format!(
        "WITH moved AS (UPDATE webhooks SET cursor_txid = (SELECT max(txid::text::bigint) FROM events), cursor_id = 1000000
         WHERE id = '{id}' RETURNING 1) SELECT count(*) FROM moved"
    ))
    .await;
    let replay = async |body: Value| client.post(&path(&made, "/replay"), body).await;
    let pending = "SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'";
    let hour = json!({"since": "2026-11-27T08:00:00Z", "until": "2026-11-27T09:00:00Z"});
    let first = replay(hour.clone()).await.expect(202).json();
    assert_eq!((&first["replayed"], &first["next_since"]), (&json!(1_000), &json!("2026-11-27T08:33:20Z")));
    assert_eq!(replay(hour).await.expect(202).json()["replayed"], 0, "they wait already");
    assert_eq!(api.count(pending).await, 1_000);
    let rest = json!({"since": first["next_since"], "until": "2026-11-27T09:00:00Z"});
    let rest = replay(rest).await.expect(202).json();
    assert_eq!((&rest["replayed"], &rest["next_since"]), (&json!(250), &Value::Null));
    // what was delivered goes again when somebody says so, with the id that it had
    let ids = "SELECT count(DISTINCT id) FROM webhook_deliveries";
    let ended = |state: &str, data: &str| {
        format!(
            "WITH ended AS (UPDATE webhook_deliveries SET state = '{state}', data = {data}, finished_at = now() RETURNING 1)
             SELECT count(*) FROM ended"
        )
    };
    api.count(&ended("delivered", "NULL")).await;
    let minute = json!({"since": "2026-11-27T08:00:00Z", "until": "2026-11-27T08:01:00Z"});
    assert_eq!(replay(minute).await.expect(202).json()["replayed"], 30);
    assert_eq!((api.count(pending).await, api.count(ids).await), (30, 1_250));
    assert_eq!(replay(json!({"failed": true})).await.expect(202).json()["replayed"], 0);
    api.count(&ended("failed", "'{}'")).await;
    let failed = replay(json!({"failed": true})).await.expect(202).json();
    assert_eq!(failed["replayed"], 1_000);
    assert!(failed["next_since"].is_string(), "there is more");
    assert_eq!(replay(json!({"failed": true})).await.expect(202).json(), json!({"replayed": 250, "next_since": null}));
    for (body, field) in [
        (json!({}), "since"),
        (json!({"failed": true, "since": "2026-11-27T08:00:00Z"}), "failed"),
        (json!({"since": "2026-11-27T08:00:00Z", "until": "2026-11-27T08:00:00Z"}), "since"),
    ] {
        assert_eq!(replay(body).await.expect(422).fields(), [field]);
    }
    client.patch(&path(&made, ""), json!({"enabled": false})).await.expect(200);
    replay(json!({"failed": true})).await.expect(409);
}
