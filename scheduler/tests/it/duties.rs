//! Each duty's round, against real rows and a real Redis.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use domain::id::RunId;
use domain::job::Queue;
use scheduler::duties::{
    expire_messages::ExpireMessages, finish_deletes::FinishDeletes, fire_reminders::FireReminders, prune::Prune,
    refresh_zone_data::RefreshZoneData, ring_again::RingAgain, settle_runs::SettleRuns,
};
use scheduler::duty::Duty as _;
use sqlx::PgPool;
use store::runs;
use store::{MIGRATOR, Store, webhooks};

use crate::house;

/// R03, R45: what is due is fired once and rung for; the next round is planned for the next occurrence.
#[sqlx::test(migrator = "MIGRATOR")]
async fn fire_reminders_fires_and_rings(db: PgPool) {
    let context = house::context(&db).await;
    let of = house::account(&db).await;
    house::reminder(&db, of, -10).await;
    house::reminder(&db, of, 300).await;
    let round = FireReminders::default().run_once(&context).await.unwrap();
    assert_eq!(round.done, 1);
    let next = round.next_in.unwrap();
    assert!(next < Duration::from_millis(302), "{next:?}");
    assert_eq!(context.doorbell.due(Queue::FireReminder).await.unwrap(), 1);
    tokio::time::sleep(next).await;
    assert_eq!(FireReminders::default().run_once(&context).await.unwrap().done, 1);
    assert_eq!(FireReminders::default().run_once(&context).await.unwrap().next_in, None);
}

/// R03: a batch that takes too long is tried again with half as many, and larger ones follow once it went well.
#[sqlx::test(migrator = "MIGRATOR")]
async fn fire_reminders_takes_fewer_after_a_failure(db: PgPool) {
    let context = house::context(&db).await;
    let of = house::account(&db).await;
    for _ in 0..3 {
        house::reminder(&db, of, -10).await;
    }
    let duty = FireReminders { batch: 4.into() };
    let unlocked = async || {
        let free = "SELECT count(*) FROM (SELECT id FROM reminders FOR UPDATE SKIP LOCKED) AS free";
        let all = async || sqlx::query_scalar::<_, i64>(free).fetch_one(&db).await.unwrap() == 3;
        kit::until("the batch that was given up is rolled back", async || all().await.then_some(())).await;
    };
    for fewer in [2, 1, 1] {
        unlocked().await;
        let mut holding = db.begin().await.unwrap();
        sqlx::query("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE").execute(&mut *holding).await.unwrap();
        let round = tokio::time::timeout(Duration::from_millis(500), duty.run_once(&context)).await;
        assert!(round.is_err(), "it waits for the table");
        if fewer == 2 {
            assert_eq!(duty.run_once(&context).await.unwrap().done, 0, "the server is still busy with all of them");
        }
        assert_eq!(duty.batch.load(Ordering::Relaxed), fewer);
        holding.rollback().await.unwrap();
    }
    unlocked().await;
    assert_eq!(duty.run_once(&context).await.unwrap().done, 3);
    assert_eq!(duty.batch.load(Ordering::Relaxed), 4, "one, then two");
}

/// R05: what nobody answered is rung for again, once per bell that lies there.
#[sqlx::test(migrator = "MIGRATOR")]
async fn ring_again_rings_for_waiting_rows(db: PgPool) {
    let store = Store::from(db.clone());
    let context = house::context(&db).await;
    let of = house::account(&db).await;
    house::reminder(&db, of, -10).await;
    let fired = runs::fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired;
    sqlx::query("UPDATE accounts SET updated_at = now() - interval '1 minute'").execute(&db).await.unwrap();
    sqlx::query("UPDATE runs SET created_at = now() - interval '1 minute'").execute(&db).await.unwrap();
    let duty = RingAgain { age: Duration::from_secs(1) };
    assert_eq!(duty.run_once(&context).await.unwrap().done, 2, "the run, and the account without an owner");
    assert_eq!(duty.run_once(&context).await.unwrap().done, 0, "equal bells lie there");
    assert_eq!(context.doorbell.due(Queue::FireReminder).await.unwrap(), 1);
    assert_eq!(context.doorbell.due(Queue::Claim).await.unwrap(), 1);
    assert_eq!(fired.len(), 1);
}

/// R40: what was planned with older zone data is planned anew, in as many steps as it takes.
#[sqlx::test(migrator = "MIGRATOR")]
async fn refresh_zone_data_plans_anew(db: PgPool) {
    let context = house::context(&db).await;
    let of = house::account(&db).await;
    for _ in 0..3 {
        house::reminder(&db, of, 3_600_000).await;
    }
    sqlx::query("UPDATE reminders SET start_local = start_local + interval '3 hours', tzdb_version = '2009a'")
        .execute(&db)
        .await
        .unwrap();
    assert_eq!(RefreshZoneData.run_once(&context).await.unwrap().done, 3);
    assert_eq!(RefreshZoneData.run_once(&context).await.unwrap().done, 0);
    let moved = "SELECT count(*) FROM reminders WHERE next_fire_at = start_local AT TIME ZONE 'UTC'";
    assert_eq!(sqlx::query_scalar::<_, i64>(moved).fetch_one(&db).await.unwrap(), 3);
}

/// R45: a run whose messages have left is settled.
#[sqlx::test(migrator = "MIGRATOR")]
async fn settle_runs_settles(db: PgPool) {
    let store = Store::from(db.clone());
    let context = house::context(&db).await;
    let of = house::account(&db).await;
    house::reminder(&db, of, -10).await;
    let run: RunId = runs::fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    runs::expand_run(store.for_all_tenants(), run).await.unwrap().quietly();
    assert_eq!(SettleRuns.run_once(&context).await.unwrap().done, 0);
    sqlx::query("UPDATE messages SET state = 'sent', sent_at = now()").execute(&db).await.unwrap();
    assert_eq!(SettleRuns.run_once(&context).await.unwrap().done, 1);
    let status: String = sqlx::query_scalar("SELECT status FROM runs").fetch_one(&db).await.unwrap();
    assert_eq!(status, "success");
}

/// R46: when the windows of many runs close at once, one round ends all that waits.
#[sqlx::test(migrator = "MIGRATOR")]
async fn expire_messages_ends_all_that_waits(db: PgPool) {
    let context = house::context(&db).await;
    house::account(&db).await;
    sqlx::query(
        "INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id, expires_at)
         SELECT gen_random_uuid(), tenant_id, id, '1@g.us', 'x', n::text, now() - interval '1 minute'
         FROM accounts, generate_series(1, 2500) AS n",
    )
    .execute(&db)
    .await
    .unwrap();
    ExpireMessages.run_once(&context).await.unwrap();
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM messages WHERE state = 'queued'").fetch_one(&db).await.unwrap();
    assert_eq!(left, 0);
}

/// R47: runs are kept for so long after their end, and notifications after they were written; a run that is not over stays.
#[sqlx::test(migrator = "MIGRATOR")]
async fn prune_removes_old_history(db: PgPool) {
    let store = Store::from(db.clone());
    let context = house::context(&db).await;
    let of = house::account(&db).await;
    for _ in 0..3 {
        house::reminder(&db, of, -10).await;
    }
    runs::fire_due(store.for_all_tenants(), 10).await.unwrap().quietly();
    sqlx::raw_sql(
        "UPDATE runs r SET status = 'success', finished_at = now() - n.place * interval '80 days', created_at = now() - interval '200 days'
             FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM runs) n WHERE r.id = n.id AND n.place < 3;
         UPDATE runs SET created_at = now() - interval '200 days' WHERE finished_at IS NULL;
         UPDATE notifications SET created_at = now() - interval '91 days' WHERE run_id IN (SELECT id FROM runs WHERE finished_at IS NULL)",
    )
    .execute(&db)
    .await
    .unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    let duty = Prune { events_kept: 7 * day, runs_kept: 90 * day, messages_kept_days: 90, audit_kept_days: 365 };
    assert_eq!(duty.run_once(&context).await.unwrap().done, 2, "a run and a notification");
    assert_eq!(duty.run_once(&context).await.unwrap().done, 0);
    for (counted, left) in [
        ("SELECT count(*) FROM runs WHERE finished_at > now() - interval '90 days'", 1),
        ("SELECT count(*) FROM runs WHERE status = 'pending'", 1),
        ("SELECT count(*) FROM runs", 2),
        ("SELECT count(*) FROM run_targets", 2),
        ("SELECT count(*) FROM notifications", 2),
    ] {
        assert_eq!(sqlx::query_scalar::<_, i64>(counted).fetch_one(&db).await.unwrap(), left, "{counted}");
    }
}

/// R15: a delete whose owner died is finished, once it has waited long enough.
#[sqlx::test(migrator = "MIGRATOR")]
async fn finish_deletes_removes_what_nobody_logs_out(db: PgPool) {
    let context = house::context(&db).await;
    house::account(&db).await;
    sqlx::query("UPDATE accounts SET wanted = 'erased', updated_at = now()").execute(&db).await.unwrap();
    assert_eq!(FinishDeletes.run_once(&context).await.unwrap().done, 0);
    sqlx::query("UPDATE accounts SET updated_at = now() - interval '2 minutes'").execute(&db).await.unwrap();
    assert_eq!(FinishDeletes.run_once(&context).await.unwrap().done, 1);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM accounts").fetch_one(&db).await.unwrap();
    assert_eq!(left, 0);
}

/// A duty does not wait for a Redis that is away longer than its rings' budget.
#[sqlx::test(migrator = "MIGRATOR")]
async fn firing_goes_on_without_redis(db: PgPool) {
    let mut config = house::config(&house::url_of(&db).await);
    config.redis.url = "redis://127.0.0.1:1".to_owned();
    let context = scheduler::Context::new(&config, db.clone().into(), process::ops::Pulse::default()).unwrap();
    let of = house::account(&db).await;
    house::reminder(&db, of, -10).await;
    let began = Instant::now();
    assert_eq!(FireReminders::default().run_once(&context).await.unwrap().done, 1);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// R63: before events are removed that a webhook had still to take, it is told how many; and they are kept for longer than it
/// takes to tell that a webhook fails.
#[sqlx::test(migrator = "MIGRATOR")]
async fn prune_tells_what_a_webhook_lost(db: PgPool) {
    let store = Store::from(db.clone());
    let context = house::context(&db).await;
    let (tenant, account) = house::account(&db).await;
    let (webhook, _) =
        webhooks::create(store.of(tenant), "https://example.com/", &[], store::audit::Operator::System("test"))
            .await
            .unwrap();
    for _ in 0..3 {
        let data = sqlx::types::JsonValue::default();
        kit::put_event(&mut db.acquire().await.unwrap(), tenant, Some(account), "a.b", &data).await.unwrap();
    }
    sqlx::query("UPDATE events SET created_at = now() - interval '8 days'").execute(&db).await.unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    let duty = Prune { events_kept: 7 * day, runs_kept: 90 * day, messages_kept_days: 90, audit_kept_days: 365 };
    assert_eq!(duty.run_once(&context).await.unwrap().done, 3);
    let told = "SELECT count(*) FROM events
                WHERE kind = 'webhook.events_dropped' AND data->>'count' = '3' AND data->>'webhook_id' = $1::text";
    let told = sqlx::query_scalar::<_, i64>(told).bind(webhook.id.0.to_string()).fetch_one(&db).await.unwrap();
    assert_eq!(told, 1);
    for (days, accepted) in [("3", false), ("4", true)] {
        let given =
            ["scheduler", "--database-url", "postgres://x/y", "--redis-url", "redis://x", "--events-kept-days", days];
        let read = scheduler::Cli::read(given.map(Into::into));
        assert_eq!(read.is_ok(), accepted, "{days}: {:?}", read.err());
    }
}
