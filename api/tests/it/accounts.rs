//! Accounts: add, list, rename, delete.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::test_api::TestApi;

fn strings(values: &Value) -> Vec<String> {
    values.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// R10: only a label is needed; the account is unpaired and has no QR code yet.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_account_is_added_with_a_label_alone(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let added = tenant.post("/v1/accounts", json!({"label": "Sales"})).await.expect(201);
    assert_eq!(added.json()["status"], "unpaired");
    assert_eq!(added.json()["phone_number"], Value::Null);
    let path = format!("/v1/accounts/{}", added.id());
    assert_eq!(tenant.get(&path).await.expect(200).json(), added.json());
    tenant.get(&format!("{path}/qr")).await.expect(404);
    assert_eq!(api.count("SELECT count(*) FROM leases WHERE epoch = 0").await, 1);
    for label in [json!(""), json!("   "), json!("x".repeat(101)), json!("a\nb"), json!("a\u{0}b"), json!(7)] {
        assert_eq!(tenant.post("/v1/accounts", json!({"label": label})).await.expect(422).fields(), ["label"]);
    }
}

/// R19: the order is that of adding; renaming never reshuffles, every status is listed, and pages join without a gap.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_list_keeps_its_order(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let statuses = ["unpaired", "pending", "connected", "disconnected", "logged_out", "banned"];
    let mut ids = Vec::new();
    for (number, status) in statuses.iter().enumerate() {
        let id = tenant.account(&format!("Z{}", 9 - number)).await;
        api.set_status(&id, status).await;
        ids.push(id);
    }
    tenant.patch(&format!("/v1/accounts/{}", ids[0]), json!({"label": "zzz"})).await.expect(200);
    tenant.patch(&format!("/v1/accounts/{}", ids[3]), json!({"label": "AAA"})).await.expect(200);
    // Created at the very same instant: the id decides.
    sqlx::query("UPDATE accounts SET created_at = '2026-01-01'").execute(&api.db).await.unwrap();
    let mut listed = Vec::new();
    let mut path = "/v1/accounts?limit=4".to_owned();
    loop {
        let page = tenant.get(&path).await.expect(200).json();
        listed.extend(page["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/accounts?limit=4&cursor={cursor}");
    }
    assert_eq!(listed, ids);
    for (id, status) in ids.iter().zip(statuses) {
        let page = tenant.get(&format!("/v1/accounts?status={status}")).await.expect(200).json();
        assert_eq!((page["data"].as_array().unwrap().len(), page["data"][0]["id"].as_str()), (1, Some(id.as_str())));
    }
    assert_eq!(tenant.get("/v1/accounts?status=gone").await.expect(422).fields(), ["status"]);
    assert_eq!(tenant.get("/v1/accounts?limit=0").await.expect(422).fields(), ["limit"]);
    assert_eq!(tenant.get("/v1/accounts?limit=x").await.expect(422).fields(), ["limit"]);
    assert_eq!(tenant.get("/v1/accounts?cursor=x").await.expect(422).fields(), ["cursor"]);
    assert_eq!(tenant.get("/v1/accounts?colour=x").await.expect(422).fields(), ["colour"]);
}

/// R32: the answer says which buttons there are.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_actions_follow_the_status(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    for (status, expected) in [
        ("unpaired", vec!["pair", "rename", "delete"]),
        ("pending", vec!["pair", "unpair", "rename", "delete"]),
        ("connected", vec!["send", "sync", "unpair", "rename", "delete"]),
        ("disconnected", vec!["pair", "send", "unpair", "rename", "delete"]),
        ("logged_out", vec!["pair", "unpair", "rename", "delete"]),
        ("banned", vec!["pair", "unpair", "rename", "delete"]),
    ] {
        api.set_status(&id, status).await;
        let account = tenant.get(&format!("/v1/accounts/{id}")).await.expect(200).json();
        assert_eq!(strings(&account["actions"]), expected, "{status}");
    }
}

/// R13, R15: an account without a linked phone goes at once, from every status; run history stays.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_unlinked_account_is_deleted_at_once(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    for status in ["unpaired", "pending", "connected", "disconnected", "logged_out", "banned"] {
        let id = tenant.account("Sales").await;
        api.set_status(&id, status).await;
        sqlx::query(
            "INSERT INTO runs (id, tenant_id, account_id, reminder_name, account_label, version, fire_at, bodies, status, finished_at)
             VALUES (gen_random_uuid(), $1, $2, 'r', 'Sales', 1, now(), '{}', 'success', now())",
        )
        .bind(tenant.tenant.unwrap().0)
        .bind(id.parse::<uuid::Uuid>().unwrap())
        .execute(&api.db)
        .await
        .unwrap();
        tenant.delete(&format!("/v1/accounts/{id}")).await.expect(204);
        tenant.get(&format!("/v1/accounts/{id}")).await.expect(404);
        tenant.delete(&format!("/v1/accounts/{id}")).await.expect(404);
    }
    assert_eq!(api.count("SELECT count(*) FROM accounts").await, 0);
    assert_eq!(api.count("SELECT count(*) FROM runs WHERE account_id IS NULL").await, 6);
    assert_eq!(api.count("SELECT count(*) FROM audit WHERE action = 'delete' AND outcome = 'ok'").await, 6);
    assert_eq!(api.count("SELECT count(*) FROM events WHERE kind = 'account.deleted'").await, 6);
}

/// R14, R15: a linked account vanishes for its tenant at once, while its row waits for the device to be logged out.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_linked_account_is_logged_out_before_it_goes(db: PgPool) {
    use store::accounts;
    use store::audit::Operator;

    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    api.set_status(&id, "connected").await;
    api.add_credentials(&id).await;
    let path = format!("/v1/accounts/{id}");
    assert_eq!(tenant.delete(&path).await.expect(202).json(), json!({"status": "deleting"}));
    assert_eq!(tenant.delete(&path).await.expect(202).json(), json!({"status": "deleting"}));
    assert_eq!(api.count("SELECT count(*) FROM accounts WHERE wanted = 'erased' AND generation = 1").await, 1);
    assert_eq!(api.count("SELECT count(*) FROM credentials").await, 1);
    for gone in ["", "/qr", "/pairing", "/groups", "/messages"] {
        tenant.get(&format!("{path}{gone}")).await.expect(404);
    }
    tenant.patch(&path, json!({"label": "x"})).await.expect(404);
    tenant.post_empty(&format!("{path}/pair")).await.expect(404);
    tenant.post_empty(&format!("{path}/unpair")).await.expect(404);
    tenant.post(&format!("{path}/messages"), json!({"to": "4917012345678", "text": "x"})).await.expect(404);
    assert_eq!(tenant.get("/v1/accounts").await.expect(200).json()["data"], json!([]));

    let (tenant_id, account) = (tenant.tenant.unwrap(), id.parse().unwrap());
    let worker = Operator::System("worker");
    assert!(accounts::remove(api.store.of(tenant_id), account, worker, "logged out").await.unwrap());
    assert!(!accounts::remove(api.store.of(tenant_id), account, worker, "logged out").await.unwrap());
    assert_eq!(api.count("SELECT count(*) FROM accounts").await, 0);
    let trail = tenant.get(&format!("/v1/audit?account_id={id}")).await.expect(200).json();
    let outcomes: Vec<_> = trail["data"].as_array().unwrap().iter().map(|entry| entry["outcome"].clone()).collect();
    assert_eq!(outcomes, ["logged out", "logging_out", "logging_out", "ok"]);
}

/// A removal touches no account that is not being deleted.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn only_a_deleted_account_is_removed(db: PgPool) {
    use store::accounts;
    use store::audit::Operator;

    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    let removed =
        accounts::remove(api.store.of(tenant.tenant.unwrap()), id.parse().unwrap(), Operator::System("worker"), "x");
    assert!(!removed.await.unwrap());
    tenant.get(&format!("/v1/accounts/{id}")).await.expect(200);
}

/// R16: two linked accounts of a tenant can't have one number; unlinked ones never collide.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_number_is_unique_among_linked_accounts(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, other) = (api.tenant().await, api.tenant().await);
    let (one, two, foreign) = (tenant.account("1").await, tenant.account("2").await, other.account("3").await);
    let link = async |id: &str| {
        sqlx::query("UPDATE accounts SET status = 'connected', phone_number = '4917012345678' WHERE id = $1")
            .bind(id.parse::<uuid::Uuid>().unwrap())
            .execute(&api.db)
            .await
    };
    link(&one).await.unwrap();
    link(&foreign).await.unwrap();
    link(&two).await.unwrap_err();
    tenant.post_empty(&format!("/v1/accounts/{one}/unpair")).await.expect(200);
    tenant.post_empty(&format!("/v1/accounts/{two}/unpair")).await.expect(200);
    link(&two).await.unwrap();
}
