//! What the schedulers measure of the cluster, with rows of each kind.

use domain::id::{AccountId, TenantId, WorkerId};
use kit::rows;
use store::measure::{self, Figure};
use store::{MIGRATOR, PgPool, Store};
use uuid::Uuid;

/// Runs a statement with these ids.
async fn run(db: &PgPool, statement: &str, ids: &[Uuid]) {
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()));
    for id in ids {
        query = query.bind(*id);
    }
    query.execute(db).await.unwrap();
}

/// A worker whose heartbeat is this old.
async fn worker(db: &PgPool, silent_s: u32, capacity: i32) -> WorkerId {
    rows::worker(db, f64::from(silent_s), capacity).await
}

/// A linked account that should be online, changed by `change`.
async fn account(db: &PgPool, tenant: TenantId, status: &str, owner: Option<WorkerId>, change: &str) -> AccountId {
    let linked = ["connected", "disconnected", "banned"].contains(&status);
    let wanted = if linked { "online" } else { "offline" };
    let account = rows::Account { wanted, owner, ..rows::Account::of(status) }.insert(db, tenant).await;
    if !change.is_empty() {
        run(db, &format!("UPDATE accounts SET {change} WHERE id = $1"), &[account.0]).await;
    }
    account
}

/// Creates this many queued messages. The first was accepted this many seconds ago.
async fn messages(db: &PgPool, tenant: TenantId, account: AccountId, count: u32, oldest_s: u32) {
    let rows = format!(
        "INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id, created_at)
         SELECT gen_random_uuid(), $1, $2, 'x@g.us', 'hello', 'w' || n, now() - make_interval(secs => {oldest_s} - n)
         FROM generate_series(0, {count} - 1) AS n ORDER BY n"
    );
    run(db, &rows, &[tenant.0, account.0]).await;
}

fn of(figures: &[Figure], what: &str, kind: &str, reason: &str) -> (u32, u32) {
    let found = figures.iter().find(|one| (&*one.what, &*one.kind, &*one.reason) == (what, kind, reason));
    // a little time has passed since the rows were written
    found.map_or((0, 0), |one| (one.count as u32, one.more as u32))
}

/// R06: a waiting message is counted under what it waits for, with the age of the oldest one. A message that has left
/// is not counted.
#[sqlx::test(migrator = "MIGRATOR")]
async fn messages_wait_for_a_reason(db: PgPool) {
    let store = Store::from(db.clone());
    let tenant = rows::tenant(&db).await;
    let (live, dead) = (worker(&db, 1, 100).await, worker(&db, 60, 100).await);
    let hour = "now() + interval '1 hour'";
    for (status, owner, change, reason, count, oldest) in [
        ("connected", Some(live), "", "ready", 3, 100),
        ("connected", Some(live), "", "ready", 1, 200),
        ("connected", Some(dead), "", "unowned", 1, 300),
        ("connected", None, "", "unowned", 1, 400),
        ("disconnected", Some(live), "", "offline", 2, 500),
        ("unpaired", None, "", "unlinked", 1, 600),
        ("logged_out", None, "", "unlinked", 1, 650),
        ("connected", Some(live), &*format!("held_until = {hour}"), "held", 1, 700),
        ("connected", Some(live), "held_until = now() - interval '1 hour'", "ready", 1, 150),
        ("banned", Some(live), &*format!("banned_until = {hour}"), "banned", 1, 800),
        // the reason that lasts longest is reported
        ("banned", None, &*format!("held_until = {hour}"), "banned", 1, 850),
    ] {
        let account = account(&db, tenant, status, owner, change).await;
        messages(&db, tenant, account, count, oldest).await;
        assert!(["ready", "unowned", "offline", "unlinked", "held", "banned"].contains(&reason));
    }
    account(&db, tenant, "connected", Some(live), "").await; // it has no waiting messages
    let figures = measure::cluster(store.for_all_tenants()).await.unwrap();
    let waiting = |reason| of(&figures, "waiting", "message", reason);
    assert_eq!(waiting("ready"), (5, 200));
    assert_eq!(waiting("unowned"), (2, 400));
    assert_eq!(waiting("offline"), (2, 500));
    assert_eq!(waiting("unlinked"), (2, 650));
    assert_eq!(waiting("held"), (1, 700));
    assert_eq!(waiting("banned"), (2, 850));
    assert_eq!(of(&figures, "accounts", "connected", ""), (7, 0));
    assert_eq!(of(&figures, "accounts", "banned", ""), (2, 0));
    // eight are linked, wanted online and not banned, seven of them connected; five have a live owner
    assert_eq!(of(&figures, "wanted", "", ""), (8, 5));
    assert_eq!(of(&figures, "unowned", "", ""), (2, 0));
    assert_eq!(of(&figures, "tenants", "", ""), (1, 0));

    run(&db, "UPDATE messages SET state = 'sent', sent_at = now() WHERE $1::uuid IS NOT NULL", &[tenant.0]).await;
    let figures = measure::cluster(store.for_all_tenants()).await.unwrap();
    for reason in ["ready", "unowned", "offline", "unlinked", "held", "banned"] {
        assert_eq!(of(&figures, "waiting", "message", reason), (0, 0), "{reason}");
    }
}

/// R06: pairings without a code, ends that an owner has not carried out, and requests for groups.
#[sqlx::test(migrator = "MIGRATOR")]
async fn other_work_waits_at_accounts(db: PgPool) {
    let store = Store::from(db.clone());
    let tenant = rows::tenant(&db).await;
    let live = worker(&db, 1, 100).await;
    let since = |seconds| format!("updated_at = now() - interval '{seconds} seconds'");
    for (seconds, change) in [
        (20, "UPDATE accounts SET wanted = 'online' WHERE id = $1"),
        (90, "UPDATE pairings SET qr_text = 'code' WHERE account_id = $1"), // has its code
        (90, "UPDATE accounts SET jid = 'x' WHERE id = $1"),                // was scanned
        (400, "UPDATE pairings SET window_ends_at = now() WHERE account_id = $1"), // is over
    ] {
        let row = format!("wanted = 'online', {}", since(seconds));
        let account = account(&db, tenant, "pending", Some(live), &row).await;
        run(&db, change, &[account.0]).await;
    }
    account(&db, tenant, "unpaired", Some(live), &since(30)).await;
    account(&db, tenant, "unpaired", None, &since(99)).await; // nobody owns it, so it is done
    account(&db, tenant, "connected", None, &format!("wanted = 'erased', {}", since(40))).await;
    account(&db, tenant, "connected", Some(live), "groups_wanted_at = now() - interval '50 seconds'").await;
    let figures = measure::cluster(store.for_all_tenants()).await.unwrap();
    assert_eq!(of(&figures, "waiting", "pairing", "ready"), (1, 20));
    assert_eq!(of(&figures, "waiting", "unpairing", "ready"), (2, 40));
    assert_eq!(of(&figures, "waiting", "group_sync", "ready"), (1, 50));
}

/// R06: runs that have not begun, except those that wait for an earlier run, and reminders that are due and have not
/// fired.
#[sqlx::test(migrator = "MIGRATOR")]
async fn runs_and_reminders_wait(db: PgPool) {
    let store = Store::from(db.clone());
    let tenant = rows::tenant(&db).await;
    let account = account(&db, tenant, "connected", None, "").await;
    let reminder = Uuid::now_v7();
    run(
        &db,
        "INSERT INTO reminders (id, tenant_id, account_id, name, timezone, start_local, next_fire_at)
         SELECT n.id, $1, $2, 'Stand-up', 'UTC', now(), n.at
         FROM (VALUES ($3, now() - interval '12 seconds'), (gen_random_uuid(), now() + interval '1 hour')) AS n (id, at)",
        &[tenant.0, account.0, reminder],
    )
    .await;
    run(
        &db,
        "INSERT INTO runs (id, tenant_id, reminder_id, account_id, reminder_name, account_label, version, fire_at, bodies, status,
             created_at)
         SELECT gen_random_uuid(), $1, n.reminder, $2, 'Stand-up', 'Front desk', 1, now() - n.age, '{}', n.status, now() - n.age
         FROM (VALUES ($3, interval '70 seconds', 'running'), ($3, interval '60 seconds', 'pending'),
                      (NULL, interval '50 seconds', 'pending'), (NULL, interval '40 seconds', 'pending')) AS n (reminder, age, status)",
        &[tenant.0, account.0, reminder],
    )
    .await;
    let figures = measure::cluster(store.for_all_tenants()).await.unwrap();
    assert_eq!(of(&figures, "waiting", "run", "ready"), (2, 50), "the third waits for the one that is running");
    assert_eq!(of(&figures, "waiting", "reminder", "ready"), (1, 12));
}

/// R06: deliveries of enabled webhooks, tried and untried, and the number of webhooks by the state of their receiver.
#[sqlx::test(migrator = "MIGRATOR")]
async fn deliveries_wait(db: PgPool) {
    let store = Store::from(db.clone());
    let tenant = rows::tenant(&db).await;
    let (well, failing, disabled) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    run(
        &db,
        "INSERT INTO webhooks (id, tenant_id, url, secret, enabled, failures, failing_since, cursor_txid, cursor_id)
         VALUES ($2, $1, 'https://x', 's', true, 0, NULL, 0, 0), ($3, $1, 'https://x', 's', true, 2, now(), 0, 0),
                ($4, $1, 'https://x', 's', false, 0, NULL, 0, 0)",
        &[tenant.0, well, failing, disabled],
    )
    .await;
    run(
        &db,
        "INSERT INTO webhook_deliveries (id, tenant_id, webhook_id, kind, data, happened_at, attempts, created_at, next_attempt_at)
         SELECT gen_random_uuid(), $1, n.webhook, 'x', '{}', now(), n.attempts, now() - n.age, now() + n.due
         FROM (VALUES ($2, 0, interval '5 seconds', interval '0'), ($2, 0, interval '7 seconds', interval '0'),
                      ($3, 3, interval '1 hour', interval '2 hours'), ($4, 0, interval '1 day', interval '0'))
             AS n (webhook, attempts, age, due)",
        &[tenant.0, well, failing, disabled],
    )
    .await;
    let figures = measure::cluster(store.for_all_tenants()).await.unwrap();
    assert_eq!(of(&figures, "waiting", "delivery", "ready"), (2, 7));
    assert_eq!(of(&figures, "waiting", "delivery", "retry"), (1, 3_600));
    for state in ["enabled", "failing", "disabled"] {
        assert_eq!(of(&figures, "webhooks", state, ""), (1, 0), "{state}");
    }
}

/// R06: workers by the state of their heartbeat. Live workers that do not leave have the capacity. A worker that is
/// long gone is not counted.
#[sqlx::test(migrator = "MIGRATOR")]
async fn workers_are_counted_by_their_heartbeat(db: PgPool) {
    let store = Store::from(db.clone());
    for (silent_s, capacity) in [(1, 100), (2, 50), (60, 7), (3_600, 7)] {
        worker(&db, silent_s, capacity).await;
    }
    let leaving = worker(&db, 1, 30).await;
    run(&db, "UPDATE workers SET leaving = true WHERE id = $1", &[leaving.0]).await;
    let stopped = worker(&db, 1, 30).await;
    run(&db, "UPDATE workers SET stopped_at = now() WHERE id = $1", &[stopped.0]).await;
    let figures = measure::cluster(store.for_all_tenants()).await.unwrap();
    assert_eq!(of(&figures, "workers", "live", ""), (2, 0));
    assert_eq!(of(&figures, "workers", "leaving", ""), (1, 0));
    assert_eq!(of(&figures, "workers", "silent", ""), (1, 0));
    assert_eq!(of(&figures, "capacity", "", ""), (150, 0));
}

/// R06: a claim returns how its account became free. The gap of a take-over is measured from that.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_claim_tells_since_when_nobody_had_it(db: PgPool) {
    let store = Store::from(db.clone());
    use store::leases;
    let tenant = rows::tenant(&db).await;
    let (dead, next) = (worker(&db, 60, 100).await, worker(&db, 1, 100).await);
    let silent = account(&db, tenant, "connected", Some(dead), "").await;
    let released = account(&db, tenant, "connected", None, "").await;
    run(&db, "UPDATE leases SET released_at = now() - interval '20 seconds' WHERE account_id = $1", &[released.0])
        .await;
    let own = account(&db, tenant, "connected", Some(next), "").await;
    let all = [silent, released, own];
    let claims = leases::claim(store.for_all_tenants(), next, &all, false).await.unwrap();
    let found = |account| claims.iter().find(|claim| claim.claimed.account == account).unwrap();
    assert!(found(silent).silent && (60.0..70.0).contains(&found(silent).free_s.unwrap()), "{claims:?}");
    assert!(!found(released).silent && (20.0..30.0).contains(&found(released).free_s.unwrap()), "{claims:?}");
    assert_eq!((found(own).silent, found(own).free_s), (false, None), "it was ours");
}
