//! The whole process: two schedulers side by side.

use std::time::Duration;

use domain::reminder::{Misfire, Overlap};
use kit::until;
use schedule::OnGap;
use schedule::zone;
use sqlx::PgPool;
use store::reminders::Plan;
use store::{MIGRATOR, Store};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::house;

/// So many of one instant.
const AT_ONCE: i64 = 2_000;

/// Two schedulers as their binaries run them, until `stop`.
async fn two_schedulers(db: &PgPool, stop: &CancellationToken) -> Vec<JoinHandle<anyhow::Result<()>>> {
    let mut schedulers = Vec::new();
    for _ in 0..2 {
        let config = house::config(&house::url_of(db).await);
        let listener = TcpListener::bind(config.ops.listen).await.unwrap();
        schedulers.push(tokio::spawn(scheduler::run(config, listener, stop.clone())));
    }
    schedulers
}

async fn end(schedulers: Vec<JoinHandle<anyhow::Result<()>>>, stop: &CancellationToken) {
    stop.cancel();
    for scheduler in schedulers {
        tokio::time::timeout(Duration::from_secs(10), scheduler).await.unwrap().unwrap().unwrap();
    }
}

async fn until_runs(db: &PgPool, wanted: i64) {
    let runs = async || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM runs").fetch_one(db).await.unwrap();
    until(wanted, async || (runs().await >= wanted).then_some(())).await;
}

/// R03, R45: two thousand daily reminders of one instant, two schedulers: each has one run with its target and one event,
/// and is armed once, for tomorrow.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_due_at_once_fires_once(db: PgPool) {
    let (tenant, account) = house::account(&db).await;
    sqlx::query(
        "WITH at AS (SELECT date_trunc('second', now()) AS at),
         r AS (
             INSERT INTO reminders (id, tenant_id, account_id, name, timezone, start_local, rrule, next_fire_at, tzdb_version)
             SELECT gen_random_uuid(), $1, $2, 'Stand-up', 'Europe/London', at AT TIME ZONE 'Europe/London', 'FREQ=DAILY', at, $4
             FROM at, generate_series(1, $3) RETURNING id),
         m AS (INSERT INTO reminder_messages (tenant_id, reminder_id, position, body) SELECT $1, id, 0, 'hello' FROM r)
         INSERT INTO reminder_targets (tenant_id, reminder_id, position, chat) SELECT $1, id, 0, '1203630000@g.us' FROM r",
    )
    .bind(tenant)
    .bind(account)
    .bind(AT_ONCE)
    .bind(zone::data_version())
    .execute(&db)
    .await
    .unwrap();
    sqlx::raw_sql(
        "CREATE TABLE armings (reminder uuid, at timestamptz);
         CREATE FUNCTION note_arming() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO armings VALUES (NEW.id, NEW.next_fire_at); RETURN NULL; END';
         CREATE TRIGGER armings AFTER UPDATE OF next_fire_at ON reminders FOR EACH ROW EXECUTE FUNCTION note_arming()",
    )
    .execute(&db)
    .await
    .unwrap();
    let stop = CancellationToken::new();
    let schedulers = two_schedulers(&db, &stop).await;
    until_runs(&db, AT_ONCE).await;
    end(schedulers, &stop).await; // rounds under way are finished: what would be doubled is there
    for counted in [
        "SELECT count(*) FROM runs",
        "SELECT count(DISTINCT reminder_id) FROM runs",
        "SELECT count(*) FROM run_targets",
        "SELECT count(*) FROM events WHERE kind = 'reminder.fired'",
        "SELECT count(*) FROM armings",
        "SELECT count(*) FROM reminders r JOIN armings a ON a.reminder = r.id AND a.at = r.next_fire_at JOIN runs ON runs.reminder_id = r.id
         WHERE r.next_fire_at > now() AND r.next_fire_at AT TIME ZONE r.timezone = (runs.fire_at AT TIME ZONE r.timezone) + interval '1 day'",
    ] {
        assert_eq!(sqlx::query_scalar::<_, i64>(counted).fetch_one(&db).await.unwrap(), AT_ONCE, "{counted}");
    }
}

/// R03, R40: schedulers that have nothing to do sleep for long, and hear of a reminder that is armed meanwhile: it fires on
/// its second.
#[sqlx::test(migrator = "MIGRATOR")]
async fn sleeping_schedulers_are_woken(db: PgPool) {
    let store = Store::from(db.clone());
    let stop = CancellationToken::new();
    let schedulers = two_schedulers(&db, &stop).await;
    let (tenant, account) = house::account(&db).await;
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let both = async || sqlx::query_scalar::<_, i64>(listening).fetch_one(&db).await.unwrap() >= 2;
    until("both listen", async || both().await.then_some(())).await;
    tokio::time::sleep(Duration::from_millis(500)).await; // the look after they began to listen
    let at = process::clock::now() + Duration::from_millis(300);
    let plan = Plan {
        account,
        name: "Stand-up".to_owned(),
        timezone: "UTC".to_owned(),
        start_local: at.naive_utc(),
        rrule: None,
        exdates: Vec::new(),
        on_gap: OnGap::default(),
        recurrence: None,
        start_later: false,
        times: vec![],
        window: None,
        stands_for: None,
        expected: None,
        misfire: Misfire::default(),
        catchup_window_s: 3_600,
        overlap: Overlap::default(),
        next_fire_at: at,
        messages: vec!["hello".to_owned()],
        targets: vec!["1203630000@g.us".to_owned()],
    };
    store::reminders::create(store.of(tenant), &plan).await.unwrap();
    until_runs(&db, 1).await;
    let late_ms = "SELECT (extract(epoch FROM created_at - fire_at) * 1000)::bigint FROM runs";
    let late_ms: i64 = sqlx::query_scalar(late_ms).fetch_one(&db).await.unwrap();
    assert!((0..5_000).contains(&late_ms), "{late_ms} ms: it was found by the slow look");
    end(schedulers, &stop).await;
}

/// R03: a scheduler with nothing due for an hour asks a few things a second, of the database that others work with.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_idle_scheduler_does_not_poll(db: PgPool) {
    const TRANSACTIONS: &str =
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    let of = house::account(&db).await;
    house::reminder(&db, of, 3_600_000).await;
    let stop = CancellationToken::new();
    let config = scheduler::Config { ring_again_s: 60, ..house::config(&house::url_of(&db).await) };
    let listener = TcpListener::bind(config.ops.listen).await.unwrap();
    let scheduler = tokio::spawn(scheduler::run(config, listener, stop.clone()));
    // Postgres counts a session's transactions when that has been idle for a while, so that the first rounds may be counted in a
    // later window. A duty that looks every 50 ms makes more than a hundred in each.
    let mut windows = Vec::new();
    while windows.len() < 6 && !windows.iter().any(|made| (1..60).contains(made)) {
        let before: i64 = sqlx::query_scalar(TRANSACTIONS).fetch_one(&db).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let after: i64 = sqlx::query_scalar(TRANSACTIONS).fetch_one(&db).await.unwrap();
        windows.push(after - before);
    }
    println!("transactions in 3 s each: {windows:?}");
    assert!(windows.iter().any(|made| (1..60).contains(made)), "{windows:?}");
    end(vec![scheduler], &stop).await;
}

/// R03: two schedulers fire each occurrence once, on time, and stop gracefully.
#[sqlx::test(migrator = "MIGRATOR")]
async fn two_schedulers_fire_once_and_on_time(db: PgPool) {
    let stop = CancellationToken::new();
    let schedulers = two_schedulers(&db, &stop).await;
    let of = house::account(&db).await;
    for index in 0..100 {
        house::reminder(&db, of, 1_000 + index * 15).await;
    }
    until_runs(&db, 100).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (runs, late_ms): (i64, f64) = sqlx::query_as(
        "SELECT count(*), (extract(epoch FROM percentile_disc(0.5) WITHIN GROUP (ORDER BY created_at - fire_at)) * 1000)::float8 FROM runs",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    println!("lateness p50: {late_ms:.1} ms");
    assert_eq!(runs, 100);
    assert!(late_ms < 1_000.0, "{late_ms}");
    end(schedulers, &stop).await;
}

/// Flags and variables of all sections go together.
#[test]
fn the_command_line_is_sound() {
    <scheduler::Cli as clap::CommandFactory>::command().debug_assert();
}
