//! What the scheduler rings for again, and what it ends for owners that are gone.

use std::time::Duration;

use domain::id::{AccountId, TenantId, WorkerId};
use domain::job::Bell;
use kit::{put_event, rows};
use sqlx::PgPool;
use store::accounts;
use store::events;
use store::workers;
use store::{MIGRATOR, Store, waiting};

const NOW: Duration = Duration::ZERO;

async fn account(db: &PgPool, tenant: TenantId, status: &str, wanted: &str, owner: Option<WorkerId>) -> AccountId {
    rows::Account { wanted, owner, age_s: 10.0, ..rows::Account::of(status) }.insert(db, tenant).await
}

async fn worker(db: &PgPool, silent_s: f64) -> WorkerId {
    rows::worker(db, silent_s, 1).await
}

async fn message(db: &PgPool, account: AccountId) {
    rows::Message { chat: "x@g.us", age_s: 10.0 }.insert(db, account).await;
}

/// R01: waiting rows are found in pages. Fresh rows, and those that may not be sent, are left alone.
#[sqlx::test(migrator = "MIGRATOR")]
async fn waiting_rows_are_found_in_pages(db: PgPool) {
    let store = Store::from(db.clone());
    let tenant = rows::tenant(&db).await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        let account = account(&db, tenant, "disconnected", "online", None).await;
        message(&db, account).await;
        message(&db, account).await;
        expected.push(Bell::Send { account });
    }
    let offline = account(&db, tenant, "unpaired", "offline", None).await;
    message(&db, offline).await;
    let held = account(&db, tenant, "connected", "online", None).await;
    message(&db, held).await;
    sqlx::query("UPDATE accounts SET held_until = now() + interval '1 hour' WHERE id = $1")
        .bind(held)
        .execute(&db)
        .await
        .unwrap();

    let age = Duration::from_secs(5);
    assert_eq!(waiting::sends(store.for_all_tenants(), age, None, 100).await.unwrap(), expected);
    assert_eq!(waiting::sends(store.for_all_tenants(), age, None, 2).await.unwrap(), expected[..2]);
    let Bell::Send { account } = expected[1] else { unreachable!() };
    assert_eq!(waiting::sends(store.for_all_tenants(), age, Some(account.0), 100).await.unwrap(), expected[2..]);
    assert!(waiting::sends(store.for_all_tenants(), Duration::from_secs(60), None, 100).await.unwrap().is_empty());
}

/// R02: the scheduler rings for an account without a live owner, but not for one with a live owner.
#[sqlx::test(migrator = "MIGRATOR")]
async fn accounts_without_a_live_owner_are_found(db: PgPool) {
    let store = Store::from(db.clone());
    let tenant = rows::tenant(&db).await;
    let (live, dead) = (worker(&db, 1.0).await, worker(&db, 60.0).await);
    account(&db, tenant, "connected", "online", Some(live)).await;
    let orphan = account(&db, tenant, "connected", "online", Some(dead)).await;
    let unowned = account(&db, tenant, "disconnected", "online", None).await;
    account(&db, tenant, "unpaired", "offline", None).await;
    let found = waiting::unowned(store.for_all_tenants(), Duration::from_secs(5), None, 100).await.unwrap();
    assert_eq!(found, [Bell::Send { account: orphan }, Bell::Send { account: unowned }]);

    let pairing = account(&db, tenant, "pending", "online", None).await;
    let shown = account(&db, tenant, "pending", "online", Some(live)).await;
    sqlx::query("UPDATE pairings SET qr_text = 'x' WHERE account_id = $1").bind(shown).execute(&db).await.unwrap();
    assert_eq!(
        waiting::pairings(store.for_all_tenants(), Duration::from_secs(5), None, 100).await.unwrap(),
        [Bell::Pair { account: pairing }]
    );
}

/// R14: the scheduler rings for an account that is to go offline or to be removed until its owner releases it. A delete
/// that no worker finishes is found.
#[sqlx::test(migrator = "MIGRATOR")]
async fn unpairings_and_deletes_are_found(db: PgPool) {
    let store = Store::from(db.clone());
    let tenant = rows::tenant(&db).await;
    let live = worker(&db, 1.0).await;
    let leaving = account(&db, tenant, "unpaired", "offline", Some(live)).await;
    account(&db, tenant, "unpaired", "offline", None).await;
    let erased = account(&db, tenant, "disconnected", "erased", None).await;
    let owned = account(&db, tenant, "connected", "erased", Some(live)).await;
    let found = waiting::unpairings(store.for_all_tenants(), Duration::from_secs(5), None, 100).await.unwrap();
    assert_eq!(found, [leaving, erased, owned].map(|account| Bell::Unpair { account }));
    let long = Duration::from_secs(3_600);
    assert_eq!(
        waiting::stuck_logouts(store.for_all_tenants(), Duration::from_secs(5), long, 10).await.unwrap(),
        [(tenant, erased, true)]
    );
    assert_eq!(
        waiting::stuck_logouts(store.for_all_tenants(), long, Duration::from_secs(5), 10).await.unwrap().len(),
        2
    );
    assert!(waiting::stuck_logouts(store.for_all_tenants(), long, long, 10).await.unwrap().is_empty());
}

/// R20: a stale pairing without a live owner ends as `unpaired`, and the account is never deleted. Its former owner is
/// fenced.
#[sqlx::test(migrator = "MIGRATOR")]
async fn stale_pairings_are_parked(db: PgPool) {
    let store = Store::from(db.clone());
    let tenant = rows::tenant(&db).await;
    let (live, dead) = (worker(&db, 1.0).await, worker(&db, 60.0).await);
    let stale = account(&db, tenant, "pending", "online", Some(dead)).await;
    let held = account(&db, tenant, "pending", "online", Some(live)).await;
    sqlx::query("UPDATE pairings SET window_ends_at = now() - interval '61 minutes'").execute(&db).await.unwrap();
    let fresh = account(&db, tenant, "pending", "online", None).await;
    let hour = Duration::from_secs(3_600);
    assert_eq!(accounts::park_stale_pairings(store.for_all_tenants(), hour, 10).await.unwrap().quietly(), [tenant]);
    assert!(accounts::park_stale_pairings(store.for_all_tenants(), hour, 10).await.unwrap().quietly().is_empty());
    for (account, status) in [(stale, "unpaired"), (held, "pending"), (fresh, "pending")] {
        let now: String =
            sqlx::query_scalar("SELECT status FROM accounts WHERE id = $1").bind(account).fetch_one(&db).await.unwrap();
        assert_eq!(now, status);
    }
    let epoch: i64 =
        sqlx::query_scalar("SELECT epoch FROM leases WHERE account_id = $1").bind(stale).fetch_one(&db).await.unwrap();
    assert_eq!(epoch, 1);
}

/// R20: a pairing that begins again while the stale one is being ended stays unchanged.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_pairing_that_begins_meanwhile_is_not_parked(db: PgPool) {
    let store = Store::from(db.clone());
    let tenant = rows::tenant(&db).await;
    let stale = account(&db, tenant, "pending", "online", None).await;
    sqlx::query("UPDATE pairings SET window_ends_at = now() - interval '61 minutes'").execute(&db).await.unwrap();
    let mut beginning = db.begin().await.unwrap();
    sqlx::query("UPDATE pairings SET window_ends_at = now() + interval '5 minutes'")
        .execute(&mut *beginning)
        .await
        .unwrap();
    let parking = tokio::spawn({
        let store = store.clone();
        async move { accounts::park_stale_pairings(store.for_all_tenants(), Duration::from_secs(3_600), 10).await }
    });
    crate::locks::waiting(&db, 1).await;
    beginning.commit().await.unwrap();
    assert_eq!(parking.await.unwrap().unwrap().quietly(), []);
    let left: (String, i64) =
        sqlx::query_as("SELECT a.status, l.epoch FROM accounts a JOIN leases l ON l.account_id = a.id WHERE a.id = $1")
            .bind(stale)
            .fetch_one(&db)
            .await
            .unwrap();
    assert_eq!(left, ("pending".to_owned(), 0));
}

/// Old events and workers are removed in small steps. Rows in use stay.
#[sqlx::test(migrator = "MIGRATOR")]
async fn old_rows_are_removed_in_small_steps(db: PgPool) {
    let store = Store::from(db.clone());
    let tenant = rows::tenant(&db).await;
    for age in [0, 0, 9, 9, 9] {
        put_event(&mut db.acquire().await.unwrap(), tenant, None, "a.b", &serde_json::json!(age)).await.unwrap();
    }
    let aged = "UPDATE events SET created_at = created_at - make_interval(days => data::int)";
    sqlx::query(aged).execute(&db).await.unwrap();
    let week = Duration::from_secs(7 * 86_400);
    assert_eq!(events::prune(store.for_all_tenants(), week, 2).await.unwrap().quietly().0, 2);
    assert_eq!(events::prune(store.for_all_tenants(), week, 2).await.unwrap().quietly().0, 1);
    let (live, dead, owning) = (worker(&db, 1.0).await, worker(&db, 90_000.0).await, worker(&db, 90_000.0).await);
    account(&db, tenant, "connected", "online", Some(owning)).await;
    assert_eq!(workers::prune(&db, Duration::from_secs(86_400), 10).await.unwrap(), 1);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM workers WHERE id = ANY($1)")
        .bind(vec![live.0, owning.0])
        .fetch_one(&db)
        .await
        .unwrap();
    assert_eq!(left, 2);
    assert!(
        !waiting::runs(store.for_all_tenants(), NOW, None, 10)
            .await
            .unwrap()
            .iter()
            .any(|bell| bell.kind() != "fire_reminder")
    );
    assert_ne!(dead, live);
}
