//! Many reminders that are due at the same time, and a check of their runs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test support: a failure is a panic")]

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};

use schedule::zone;

async fn run(db: &PgPool, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(db).await.unwrap();
}

async fn number(db: &PgPool, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(db).await.unwrap()
}

/// Creates a database. The server must keep commit timestamps.
///
/// # Panics
/// If the server does not keep them, or the database can't be created.
pub async fn create(server: &PgPool, name: &str) {
    let setting: String = sqlx::query_scalar("SHOW track_commit_timestamp").fetch_one(server).await.unwrap();
    assert_eq!(setting, "on", "Postgres must keep commit timestamps (track_commit_timestamp)");
    run(server, &format!("CREATE DATABASE {name}")).await;
}

/// Removes a database, even while clients are connected.
///
/// # Panics
/// If the server refuses.
pub async fn drop(server: &PgPool, name: &str) {
    run(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

/// The time left until the reminders are due.
///
/// # Panics
/// If it has passed.
pub async fn left(db: &PgPool) -> Duration {
    let until_due = "SELECT (extract(epoch FROM min(next_fire_at) - clock_timestamp()) * 1000)::bigint FROM reminders";
    Duration::from_millis(u64::try_from(number(db, until_due).await).expect("filled in time"))
}

/// Creates reminders of 100 accounts of 10 tenants. Each has a text and a target and recurs daily in London's time
/// zone. All are due at the same time, far enough ahead.
///
/// # Panics
/// If the database fails.
pub async fn fill(db: &PgPool, size: i64) {
    for sql in [
        "INSERT INTO tenants (id, name) SELECT gen_random_uuid(), 'Bench ' || n FROM generate_series(1, 10) n",
        "INSERT INTO accounts (id, tenant_id, label)
         SELECT gen_random_uuid(), t.id, 'Account ' || n FROM tenants t, generate_series(1, 10) n",
    ] {
        run(db, sql).await;
    }
    let (ahead, zone_data) = (15 + size / 2_500, zone::data_version());
    let filled = format!(
        "WITH a AS (SELECT id, tenant_id, row_number() OVER (ORDER BY id) AS place FROM accounts),
         r AS (
             INSERT INTO reminders (id, tenant_id, account_id, name, timezone, start_local, rrule, next_fire_at, tzdb_version)
             SELECT gen_random_uuid(), a.tenant_id, a.id, 'Reminder ' || n, 'Europe/London', at AT TIME ZONE 'Europe/London',
                    'FREQ=DAILY', at, '{zone_data}'
             FROM (SELECT date_trunc('second', now()) + interval '{ahead} seconds' AS at) t, generate_series(1, {size}) n
             JOIN a ON a.place = 1 + n % 100
             RETURNING id, tenant_id),
         m AS (INSERT INTO reminder_messages (tenant_id, reminder_id, position, body) SELECT tenant_id, id, 0, 'hello' FROM r)
         INSERT INTO reminder_targets (tenant_id, reminder_id, position, chat) SELECT tenant_id, id, 0, '1203630000@g.us' FROM r"
    );
    run(db, &filled).await;
    run(db, "VACUUM (ANALYZE)").await;
}

/// Checks that each reminder fired exactly once and is armed again. Returns how many seconds late the rows were
/// committed, by the database's clock: the median, the 99th percentile and the maximum.
///
/// # Panics
/// If a reminder did not, or the database fails.
pub async fn check(db: &PgPool, size: i64) -> [f64; 3] {
    for counted in [
        "SELECT count(*) FROM runs WHERE status = 'pending'",
        "SELECT count(DISTINCT reminder_id) FROM runs",
        "SELECT count(*) FROM run_targets",
        "SELECT count(*) FROM events WHERE kind = 'reminder.fired'",
        "SELECT count(*) FROM reminders r JOIN runs ON runs.reminder_id = r.id
         WHERE r.status = 'active' AND r.next_fire_at > now() AND r.next_fire_at <= runs.fire_at + interval '25 hours'",
    ] {
        assert_eq!(number(db, counted).await, size, "{counted}");
    }
    assert_eq!(number(db, "SELECT count(*) FROM runs").await, size);
    let late: Vec<f64> = sqlx::query_scalar(
        "SELECT percentile_disc(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (
             ORDER BY extract(epoch FROM pg_xact_commit_timestamp(xmin) - fire_at)::float8) FROM runs",
    )
    .fetch_one(db)
    .await
    .unwrap();
    late.try_into().expect("three quantiles")
}
