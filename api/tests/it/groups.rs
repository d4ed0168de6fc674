//! Groups of an account.

use serde_json::json;
use sqlx::PgPool;

use crate::test_api::TestApi;

/// R35: groups are listed with subject, size and whether the account may post, in pages.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn groups_are_listed_in_pages(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    sqlx::query(
        "INSERT INTO groups (tenant_id, account_id, jid, subject, size, can_post)
         SELECT tenant_id, id, n || '@g.us', 'Group ' || n, n, n <> 2 FROM accounts, generate_series(1, 3) AS n",
    )
    .execute(&api.db)
    .await
    .unwrap();
    let path = format!("/v1/accounts/{id}/groups");
    let page = tenant.get(&format!("{path}?limit=2")).await.expect(200).json();
    let second = &page["data"][1];
    assert_eq!((&second["jid"], &second["subject"]), (&json!("2@g.us"), &json!("Group 2")));
    assert_eq!((&second["size"], &second["can_post"]), (&json!(2), &json!(false)));
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = tenant.get(&format!("{path}?limit=2&cursor={cursor}")).await.expect(200).json();
    assert_eq!((&rest["data"][0]["jid"], rest["data"].as_array().unwrap().len()), (&json!("3@g.us"), 1));
}

/// R35: a sync is asked for in the row, so that it is not lost with a bell; without a phone it is refused.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_sync_is_asked_for_in_the_row(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    let path = format!("/v1/accounts/{id}/groups/sync");
    assert_eq!(tenant.post_empty(&path).await.expect(409).problem(), "account-not-connected");
    assert_eq!(api.count("SELECT count(*) FROM accounts WHERE groups_wanted_at IS NOT NULL").await, 0);
    api.set_status(&id, "connected").await;
    tenant.post_empty(&path).await.expect(202);
    assert_eq!(api.count("SELECT count(*) FROM accounts WHERE groups_wanted_at IS NOT NULL").await, 1);
}
