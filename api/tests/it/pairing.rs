//! Pairing and unpairing, the QR code, and what the audit trail says of it.

use std::time::Duration;

use futures::StreamExt as _;
use kit::redis_url;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::test_api::{Answer, Gateway, TestApi};

async fn generation(api: &TestApi, account: &str) -> (i64, i64) {
    sqlx::query_as("SELECT a.generation, l.epoch FROM accounts a JOIN leases l ON l.account_id = a.id WHERE a.id = $1")
        .bind(account.parse::<Uuid>().unwrap())
        .fetch_one(&api.db)
        .await
        .unwrap()
}

async fn linked(api: &TestApi, tenant: &Gateway) -> String {
    let id = tenant.account("Sales").await;
    api.set_status(&id, "connected").await;
    api.add_credentials(&id).await;
    id
}

/// R11, R25: pairing makes the account pending, with a window of five minutes; a connected one must be unpaired first.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn pairing_starts_from_every_status_but_connected(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    for status in ["unpaired", "pending", "disconnected", "logged_out", "banned"] {
        let id = tenant.account("Sales").await;
        api.set_status(&id, status).await;
        let started = tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(202).json();
        assert_eq!((&started["status"], &started["method"]), (&json!("pending"), &json!("qr")), "{status}");
        let left = sqlx::query_scalar::<_, f64>(
            "SELECT extract(epoch FROM window_ends_at - now())::float8 FROM pairings JOIN accounts ON id = account_id
             WHERE id = $1 AND wanted = 'online' AND phone_number IS NULL AND jid IS NULL",
        );
        let left = left.bind(id.parse::<Uuid>().unwrap()).fetch_one(&api.db).await.unwrap();
        assert!((290.0..=300.0).contains(&left), "{left}");
    }
    let id = linked(&api, &tenant).await;
    tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(409);
}

/// R27: pairing again is another generation; the code that was shown is gone.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn pairing_again_starts_over(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    tenant.post(&format!("/v1/accounts/{id}/pair"), json!({"method": "qr"})).await.expect(202);
    show_qr(&api, &id).await;
    tenant.get(&format!("/v1/accounts/{id}/qr")).await.expect(200);
    tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(202);
    tenant.get(&format!("/v1/accounts/{id}/qr")).await.expect(404);
    assert_eq!(generation(&api, &id).await.0, 2);
}

/// R11: a phone that was linked before is forgotten, so that pairing shows a code and does not log the old device in.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn pairing_forgets_the_device_that_was_linked(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = linked(&api, &tenant).await;
    sqlx::query("UPDATE accounts SET status = 'disconnected'").execute(&api.db).await.unwrap();
    tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(202);
    assert_eq!(api.count("SELECT count(*) FROM credentials").await, 0);
    assert_eq!(generation(&api, &id).await, (1, 1));
}

/// R31: pairing by code needs a phone number, and shows eight characters.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn pairing_by_code(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    let path = format!("/v1/accounts/{id}/pair");
    for body in
        [json!({"method": "code"}), json!({"method": "code", "phone": "0170"}), json!({"phone": "4917012345678"})]
    {
        assert_eq!(tenant.post(&path, body).await.expect(422).fields(), ["phone"]);
    }
    assert_eq!(tenant.post(&path, json!({"method": "fax"})).await.expect(422).fields(), ["method"]);
    tenant.post(&path, json!({"method": "code", "phone": "+4917012345678"})).await.expect(202);
    assert_eq!(api.count("SELECT count(*) FROM pairings WHERE phone = '4917012345678'").await, 1);
    sqlx::query("UPDATE pairings SET code = 'ABCD1234'").execute(&api.db).await.unwrap();
    let state = tenant.get(&format!("/v1/accounts/{id}/pairing")).await.expect(200);
    assert_eq!((state.json()["code"].as_str(), state.json()["method"].as_str()), (Some("ABCD1234"), Some("code")));
    assert_eq!(state.header("cache-control"), "no-store");
}

async fn show_qr(api: &TestApi, account: &str) {
    sqlx::query(
        "UPDATE pairings SET qr_text = '2@secret,of,the,day', qr_number = 3, qr_expires_at = now() + interval '20 s'
         WHERE account_id = $1",
    )
    .bind(account.parse::<Uuid>().unwrap())
    .execute(&api.db)
    .await
    .unwrap();
}

/// R30: the code as image, text, drawing and JSON; never stored on the way; 404 when there is none.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_qr_code_is_served_in_four_forms(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    let path = format!("/v1/accounts/{id}/qr");
    tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(202);
    tenant.get(&path).await.expect(404);
    show_qr(&api, &id).await;

    let image = tenant.get(&path).await.expect(200);
    assert_eq!((image.header("content-type"), image.header("cache-control")), ("image/png", "no-store"));
    assert_eq!(image.header("qr-number"), "3");
    assert!(image.bytes.starts_with(b"\x89PNG"));
    let text = tenant.get(&format!("{path}?format=text")).await.expect(200);
    assert_eq!((text.text().as_str(), text.header("cache-control")), ("2@secret,of,the,day", "no-store"));
    assert!(tenant.get(&format!("{path}?format=terminal")).await.expect(200).text().contains('█'));
    let json = tenant.get(&format!("{path}?format=json")).await.expect(200).json();
    assert_eq!((&json["text"], &json["number"]), (&json!("2@secret,of,the,day"), &json!(3)));
    assert!(json["expires_at"].is_string());
    let accepting = |form: &str| tenant.request(reqwest::Method::GET, &path).header("accept", form);
    assert!(Answer::of(accepting("text/plain")).await.header("content-type").starts_with("text/plain"));
    Answer::of(accepting("video/mp4")).await.expect(406);
    assert_eq!(tenant.get(&format!("{path}?format=gif")).await.expect(422).fields(), ["format"]);
    let state = tenant.get(&format!("/v1/accounts/{id}/pairing")).await.expect(200);
    assert_eq!(state.json()["qr_number"], 3);
    assert!(!state.text().contains("secret"));

    sqlx::query("UPDATE pairings SET qr_expires_at = now() - interval '1 s'").execute(&api.db).await.unwrap();
    tenant.get(&path).await.expect(404);
}

/// R12, R15: unpair succeeds from every status, whoever lives; the row stays, and says when it was cut off.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn unpair_succeeds_from_every_status(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    for (status, already) in [
        ("unpaired", true),
        ("pending", false),
        ("connected", false),
        ("disconnected", true),
        ("logged_out", true),
        ("banned", true),
    ] {
        let id = tenant.account("Sales").await;
        api.set_status(&id, status).await;
        let (generation_before, epoch_before) = generation(&api, &id).await;
        let path = format!("/v1/accounts/{id}/unpair");
        let unpaired = tenant.post_empty(&path).await.expect(200).json();
        assert_eq!(
            (&unpaired["status"], &unpaired["already_disconnected"]),
            (&json!("unpaired"), &json!(already)),
            "{status}"
        );
        let listed = matches!(status, "connected" | "disconnected");
        assert_eq!(unpaired["advice"].is_string(), listed, "{status}: the phone still lists the device: {unpaired}");
        let again = tenant.post_empty(&path).await.expect(200).json();
        assert_eq!(again["already_disconnected"], true, "{status}");
        assert_eq!(generation(&api, &id).await, (generation_before + 2, epoch_before + 2));
        let account = tenant.get(&format!("/v1/accounts/{id}")).await.expect(200).json();
        assert_eq!((&account["status"], &account["phone_number"]), (&json!("unpaired"), &Value::Null));
        assert!(account["disconnected_at"].is_string());
    }
}

/// R12, R02: unpair scrubs the credentials and fences whoever holds the socket; groups and reminders stay, what was queued ends.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn unpair_scrubs_and_fences(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = linked(&api, &tenant).await;
    tenant.post(&format!("/v1/accounts/{id}/messages"), json!({"to": "4917012345678", "text": "x"})).await.expect(202);
    sqlx::query("INSERT INTO groups (tenant_id, account_id, jid, subject, size, can_post) SELECT tenant_id, id, '1@g.us', 'G', 1, true FROM accounts")
        .execute(&api.db)
        .await
        .unwrap();
    let unpaired = tenant.post_empty(&format!("/v1/accounts/{id}/unpair")).await.expect(200).json();
    assert_eq!(unpaired["already_disconnected"], false);
    assert_eq!(api.count("SELECT count(*) FROM credentials").await, 0);
    assert_eq!(api.count("SELECT epoch FROM leases").await, 1);
    assert_eq!(api.count("SELECT count(*) FROM messages WHERE state = 'canceled'").await, 1);
    assert_eq!(api.count("SELECT count(*) FROM groups").await, 1);
    assert_eq!(api.count("SELECT count(*) FROM events WHERE kind = 'account.status_changed' AND data->>'status' = 'unpaired' AND data->>'previous' = 'connected'").await, 1);
}

/// R21: every step is audited with the acting key, the label and the outcome.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn every_step_is_audited(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    tenant.patch(&format!("/v1/accounts/{id}"), json!({"label": "Support"})).await.expect(200);
    tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(202);
    tenant.post_empty(&format!("/v1/accounts/{id}/unpair")).await.expect(200);
    tenant.post_empty(&format!("/v1/accounts/{id}/unpair")).await.expect(200);
    tenant.delete(&format!("/v1/accounts/{id}")).await.expect(204);
    let page = tenant.get("/v1/audit?limit=4").await.expect(200).json();
    let rest =
        tenant.get(&format!("/v1/audit?cursor={}", page["next_cursor"].as_str().unwrap())).await.expect(200).json();
    let entries = page["data"].as_array().unwrap().iter().chain(rest["data"].as_array().unwrap());
    let entries: Vec<_> = entries.filter(|entry| entry["subject"] == "account").collect();
    let said: Vec<_> =
        entries.iter().map(|entry| (entry["action"].as_str().unwrap(), entry["outcome"].as_str().unwrap())).collect();
    let expected = [
        ("delete", "ok"),
        ("unpair", "already_disconnected"),
        ("unpair", "ok"),
        ("pair", "ok"),
        ("rename", "ok"),
        ("create", "ok"),
    ];
    assert_eq!(said, expected);
    let key: Uuid =
        sqlx::query_scalar("SELECT id FROM api_keys WHERE role = 'tenant'").fetch_one(&api.db).await.unwrap();
    assert!(entries.iter().all(|entry| entry["operator"] == key.to_string()));
    assert_eq!((&entries[0]["account_label"], &entries[5]["account_label"]), (&json!("Support"), &json!("Sales")));
}

/// R21: an audit that can't be written strands no step.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_failing_audit_strands_nothing(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    sqlx::query("ALTER TABLE audit ADD CONSTRAINT full_disk CHECK (false) NOT VALID").execute(&api.db).await.unwrap();
    let id = tenant.account("Sales").await;
    tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(202);
    tenant.patch(&format!("/v1/accounts/{id}"), json!({"label": "x"})).await.expect(200);
    tenant.post_empty(&format!("/v1/accounts/{id}/unpair")).await.expect(200);
    tenant.delete(&format!("/v1/accounts/{id}")).await.expect(204);
    assert_eq!(api.count("SELECT count(*) FROM accounts").await, 0);
}

/// R01: pair, unpair and send ring at once, after the commit, with ids only.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn each_step_rings(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    api.set_status(&id, "disconnected").await; // a phone was linked before, so that it may send
    let mut heard = redis::Client::open(redis_url()).unwrap().get_async_pubsub().await.unwrap();
    heard.psubscribe(format!("{}bell:*", api.redis_prefix)).await.unwrap();
    let mut heard = heard.into_on_message();
    let mut next = async || {
        let message = tokio::time::timeout(Duration::from_secs(5), heard.next()).await.unwrap().unwrap();
        message.get_payload::<String>().unwrap()
    };
    tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(202);
    let bell = next().await;
    assert!(bell.contains("\"pair\"") && bell.contains(&id), "{bell}");
    let text = "a text that no bell carries";
    tenant.post(&format!("/v1/accounts/{id}/messages"), json!({"to": "4917012345678", "text": text})).await.expect(202);
    let bell = next().await;
    assert!(bell.contains("\"send\"") && !bell.contains(text) && !bell.contains("4917012345678"), "{bell}");
    tenant.post_empty(&format!("/v1/accounts/{id}/unpair")).await.expect(200);
    assert!(next().await.contains("\"unpair\""));
}

/// R78: a QR code that is not there says why: no such account, not yet, by code, scanned, or over.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn why_there_is_no_code_is_told(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let strange = tenant.get(&format!("/v1/accounts/{}/qr", Uuid::nil())).await.expect(404);
    assert_eq!((strange.problem().as_str(), strange.json().get("detail")), ("not-found", None));
    let id = tenant.account("Sales").await;
    let why = async || {
        let answer = tenant.get(&format!("/v1/accounts/{id}/qr")).await.expect(404);
        assert_eq!(answer.problem(), "no-qr-code");
        answer.json()["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(why().await, "No pairing is under way, or it is over (the account is `unpaired`): begin with `pair`");
    tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(202);
    assert_eq!(why().await, "No code yet: the first comes within a second or two, a new one every 20");
    show_qr(&api, &id).await;
    tenant.get(&format!("/v1/accounts/{id}/qr")).await.expect(200);
    sqlx::query("UPDATE accounts SET jid = '1:1@s.whatsapp.net'").execute(&api.db).await.unwrap();
    sqlx::query("UPDATE pairings SET qr_text = NULL").execute(&api.db).await.unwrap();
    assert_eq!(why().await, "The code was scanned: the phone is being linked");
    sqlx::query("UPDATE accounts SET jid = NULL").execute(&api.db).await.unwrap();
    let by_code = json!({"method": "code", "phone": "+49 170 12345678"});
    tenant.post(&format!("/v1/accounts/{id}/pair"), by_code).await.expect(202);
    assert_eq!(why().await, "This pairing is by code: the eight characters to type on the phone stand in `pairing`");
    api.set_status(&id, "connected").await;
    assert_eq!(why().await, "No pairing is under way: a phone is linked and connected");
}
