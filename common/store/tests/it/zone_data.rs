//! New zone data, on a real Postgres.

use domain::id::{ReminderId, TenantId};
use kit::rows;
use schedule::zone;
use sqlx::PgPool;
use store::reminders::refresh_zone_data;
use store::runs::fire_due;
use store::{MIGRATOR, Store};

/// A reminder at nine in Berlin from 2090 on, planned with this zone data and this many hours off its right time.
async fn reminder(db: &PgPool, rrule: Option<&str>, version: Option<&str>, off_hours: i32) -> (TenantId, ReminderId) {
    let reminder = ReminderId::new();
    let (tenant, account) = rows::Account::of("unpaired").of_new_tenant(db).await;
    sqlx::query(
        "INSERT INTO reminders (id, tenant_id, account_id, name, timezone, start_local, rrule, next_fire_at, tzdb_version)
         VALUES ($1, $2, $3, 'Stand-up', 'Europe/Berlin', '2090-01-02 09:00', $4,
                 timestamptz '2090-01-02 08:00Z' + make_interval(hours => $5), $6)",
    )
    .bind(reminder)
    .bind(tenant)
    .bind(account)
    .bind(rrule)
    .bind(off_hours)
    .bind(version)
    .execute(db)
    .await
    .unwrap();
    (tenant, reminder)
}

async fn planned(db: &PgPool, reminder: ReminderId) -> (String, Option<String>) {
    let planned = "SELECT to_char(next_fire_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), tzdb_version FROM reminders WHERE id = $1";
    sqlx::query_as(planned).bind(reminder).fetch_one(db).await.unwrap()
}

/// R40: a time that was planned with older zone data is planned again, once, with an event that has the old and the new
/// time.
#[sqlx::test(migrator = "MIGRATOR")]
async fn newer_zone_data_moves_what_was_planned(db: PgPool) {
    let store = Store::from(db.clone());
    let mine = zone::data_version();
    let (tenant, moved) = reminder(&db, Some("FREQ=DAILY"), Some("2009a"), 1).await;
    let (_, unknown) = reminder(&db, None, None, -2).await;
    let (_, right) = reminder(&db, Some("FREQ=DAILY"), Some("2009a"), 0).await;
    let (_, current) = reminder(&db, Some("FREQ=DAILY"), Some(mine), 1).await;
    let (_, newer) = reminder(&db, Some("FREQ=DAILY"), Some("2999z"), 1).await;
    let (_, broken) = reminder(&db, Some("FREQ=NEVERLY"), Some("2009a"), 1).await;
    let refreshed = refresh_zone_data(store.for_all_tenants(), mine, 100).await.unwrap().quietly();
    assert_eq!((refreshed.seen, refreshed.moved.len()), (4, 2));
    assert!(refreshed.moved.contains(&tenant));
    let (there, off) = ("2090-01-02 08:00".to_owned(), "2090-01-02 09:00".to_owned());
    for (reminder, at, version) in [
        (moved, &there, mine),
        (unknown, &there, mine),
        (right, &there, mine),
        (current, &off, mine),
        (newer, &off, "2999z"),
        (broken, &off, mine),
    ] {
        assert_eq!(planned(&db, reminder).await, (at.clone(), Some(version.to_owned())));
    }
    let event = "SELECT data FROM events WHERE kind = 'reminder.rescheduled' AND tenant_id = $1";
    let data: serde_json::Value = sqlx::query_scalar(event).bind(tenant).fetch_one(&db).await.unwrap();
    assert_eq!(
        data,
        serde_json::json!({"reminder_id": moved, "previous": "2090-01-02T09:00:00Z", "next_fire_at": "2090-01-02T08:00:00Z",
            "zone_data": mine})
    );
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&db).await.unwrap();
    assert_eq!(events, 2);
    assert_eq!(refresh_zone_data(store.for_all_tenants(), mine, 100).await.unwrap().quietly().seen, 0);
}

/// R03: several simultaneous schedulers plan each reminder again once, in steps.
#[sqlx::test(migrator = "MIGRATOR")]
async fn many_schedulers_move_each_once(db: PgPool) {
    let store = Store::from(db.clone());
    for _ in 0..40 {
        reminder(&db, Some("FREQ=DAILY"), Some("2009a"), 1).await;
    }
    let schedulers: Vec<_> = (0..3)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut moved = 0;
                for _ in 0..20 {
                    moved += refresh_zone_data(store.for_all_tenants(), zone::data_version(), 7)
                        .await
                        .unwrap()
                        .quietly()
                        .moved
                        .len();
                }
                moved
            })
        })
        .collect();
    let mut moved = 0;
    for scheduler in schedulers {
        moved += scheduler.await.unwrap();
    }
    assert_eq!(moved, 40);
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&db).await.unwrap();
    assert_eq!(events, 40);
}

/// A fired reminder is planned with this program's zone data, with its exceptions and gaps.
#[sqlx::test(migrator = "MIGRATOR")]
async fn firing_notes_whose_clocks_it_read(db: PgPool) {
    let store = Store::from(db.clone());
    let (_, reminder) = reminder(&db, Some("FREQ=DAILY"), Some("2009a"), 0).await;
    sqlx::query(
        "UPDATE reminders SET timezone = 'UTC', start_local = date_trunc('second', now() AT TIME ZONE 'UTC') - interval '1 minute',
             next_fire_at = now() - interval '1 minute',
             exdates = ARRAY[to_char((now() AT TIME ZONE 'UTC') + interval '1 day' - interval '1 minute', 'YYYY-MM-DD')]",
    )
    .execute(&db)
    .await
    .unwrap();
    assert_eq!(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired.len(), 1);
    assert_eq!(planned(&db, reminder).await.1.as_deref(), Some(zone::data_version()));
    let ahead = "SELECT next_fire_at > now() + interval '47 hours' FROM reminders";
    assert!(sqlx::query_scalar::<_, bool>(ahead).fetch_one(&db).await.unwrap(), "tomorrow is left out");
}

/// R03, R40: a reminder is due before it was planned again. If its time is an hour later by the new zone data, it fires
/// then and not twice. If its time is earlier, it fires late.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_due_by_old_zone_data_fires_once(db: PgPool) {
    let store = Store::from(db.clone());
    let (tenant, later) = reminder(&db, Some("FREQ=DAILY"), Some("2009a"), 0).await;
    let (_, earlier) = reminder(&db, Some("FREQ=DAILY"), Some("2009a"), 0).await;
    let (_, current) = reminder(&db, Some("FREQ=DAILY"), Some(zone::data_version()), 0).await;
    for (reminder, start) in [(later, "1 hour"), (earlier, "-30 minutes"), (current, "1 hour")] {
        let due = "UPDATE reminders SET timezone = 'UTC', next_fire_at = now() - interval '1 second',
                   start_local = date_trunc('second', now() AT TIME ZONE 'UTC') + $2::interval WHERE id = $1";
        sqlx::query(due).bind(reminder).bind(start).execute(&db).await.unwrap();
    }
    let fired = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly();
    assert_eq!((fired.due, fired.fired.len()), (3, 2));
    let runs = "SELECT count(*) FROM runs WHERE reminder_id = $1";
    let runs = async |reminder| sqlx::query_scalar::<_, i64>(runs).bind(reminder).fetch_one(&db).await.unwrap();
    assert_eq!((runs(later).await, runs(earlier).await, runs(current).await), (0, 1, 1));
    let ahead =
        "SELECT next_fire_at = start_local AT TIME ZONE 'UTC' AND tzdb_version = $2 FROM reminders WHERE id = $1";
    let ahead = sqlx::query_scalar::<_, bool>(ahead).bind(later).bind(zone::data_version());
    assert!(ahead.fetch_one(&db).await.unwrap(), "it is armed for when it is due");
    let told = "SELECT count(*) FROM events WHERE kind = 'reminder.rescheduled'";
    assert_eq!(sqlx::query_scalar::<_, i64>(told).fetch_one(&db).await.unwrap(), 2);
    let fired = "SELECT count(*) FROM events WHERE kind = 'reminder.fired' AND tenant_id = $1";
    assert_eq!(sqlx::query_scalar::<_, i64>(fired).bind(tenant).fetch_one(&db).await.unwrap(), 0);
}
