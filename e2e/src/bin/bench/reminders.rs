//! Many reminders due at one instant: how late they fire, and how many a second two schedulers manage.
//!
//! On the Postgres of `DATABASE_URL`, in a database per size, and the Redis of `REDIS_URL`, with processes of the program
//! `SCHEDULER`. Nobody answers the bells: what is measured is the schedulers alone. `SIZES=1000,10000` chooses sizes.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::reminder::zone;
use common::store::MIGRATOR;
use sqlx::{AssertSqlSafe, PgPool};

use crate::variable;

const SIZES: &str = "1000,10000,50000";
const SCHEDULERS: usize = 2;
/// Between two looks at how many bells have rung.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Longest that the last bell may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Seconds after the common instant, by quantile.
struct Lateness {
    p50: f64,
    p99: f64,
    max: f64,
}

impl std::fmt::Display for Lateness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} ms | {:.0} ms | {:.0} ms", self.p50 * 1e3, self.p99 * 1e3, self.max * 1e3)
    }
}

/// A scheduler, killed when it goes.
struct Scheduler {
    child: Child,
    port: u16,
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Scheduler {
    async fn start(database: &str, prefix: &str) -> Self {
        let port = common::testing::free_port();
        let child = Command::new(variable("SCHEDULER"))
            .env("DATABASE_URL", database)
            .env("REDIS_PREFIX", prefix)
            .env("SCHEDULER_LISTEN", format!("127.0.0.1:{port}"))
            .env("RING_AGAIN_S", "3600") // nobody answers: every bell would ring again
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .expect("SCHEDULER names the program");
        let scheduler = Self { child, port };
        let start = Instant::now();
        while scheduler.ask("readyz").await.is_none() {
            assert!(start.elapsed() < Duration::from_secs(20), "the scheduler is never ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        scheduler
    }

    async fn ask(&self, what: &str) -> Option<String> {
        let answer = reqwest::get(format!("http://127.0.0.1:{}/{what}", self.port)).await.ok()?;
        if answer.status().is_success() { answer.text().await.ok() } else { None }
    }

    /// Bells of runs that have rung so far, heard or not.
    async fn bells(&self) -> i64 {
        let metrics = self.ask("metrics").await.expect("metrics");
        let counters =
            metrics.lines().filter(|line| line.starts_with("switchboard_bells_rung_total{kind=\"fire_reminder\""));
        let counts = counters.filter(|line| !line.contains("\"failed\"")).filter_map(|line| line.rsplit(' ').next());
        counts.map(|count| count.parse::<f64>().unwrap_or(0.0) as i64).sum()
    }
}

/// Measures each size.
pub(crate) async fn measure() {
    let server = PgPool::connect(&variable("DATABASE_URL")).await.unwrap();
    let setting: String = sqlx::query_scalar("SHOW track_commit_timestamp").fetch_one(&server).await.unwrap();
    assert_eq!(setting, "on", "Postgres must keep commit timestamps (track_commit_timestamp)");
    println!(
        "| due at once | run rows committed: p50 | p99 | max | bells rung: p50 | p99 | max | occurrences per second |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    let sizes = std::env::var("SIZES").unwrap_or_else(|_| SIZES.to_owned());
    for size in sizes.split(',').map(|size| size.parse().expect("SIZES are numbers")) {
        let name = format!("switchboard_bench_{size}_{}", std::process::id());
        run(&server, &format!("CREATE DATABASE {name}")).await;
        one_size(&name, size).await;
        run(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    }
}

async fn run(db: &PgPool, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(db).await.unwrap();
}

async fn number(db: &PgPool, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(db).await.unwrap()
}

async fn one_size(name: &str, size: i64) {
    let url = variable("DATABASE_URL");
    let (server, _) = url.rsplit_once('/').unwrap();
    let url = format!("{server}/{name}");
    let db = PgPool::connect(&url).await.unwrap();
    MIGRATOR.run(&db).await.unwrap();
    fill(&db, size).await;
    let prefix = format!("bench-{name}:");
    let mut schedulers = Vec::new();
    for _ in 0..SCHEDULERS {
        schedulers.push(Scheduler::start(&url, &prefix).await);
    }
    let until_due = "SELECT (extract(epoch FROM min(next_fire_at) - clock_timestamp()) * 1000)::bigint FROM reminders";
    let left = Duration::from_millis(u64::try_from(number(&db, until_due).await).expect("filled in time"));
    assert!(left > Duration::from_secs(2), "the reminders were due before the schedulers were ready");
    tokio::time::sleep(left).await;
    let bells = follow(&schedulers, size).await;
    let committed = check(&db, size).await;
    println!("| {size} | {committed} | {bells} | {:.0} |", size as f64 / bells.max);
    drop(schedulers);
    db.close().await;
}

/// Reminders of 100 accounts of 10 tenants, each with a text and a target, recurring daily on London's clocks, all due at one
/// instant that lies far enough ahead.
async fn fill(db: &PgPool, size: i64) {
    for sql in [
        "INSERT INTO tenants (id, name) SELECT gen_random_uuid(), 'Bench ' || n FROM generate_series(1, 10) n",
        "INSERT INTO accounts (id, tenant_id, label)
         SELECT gen_random_uuid(), t.id, 'Account ' || n FROM tenants t, generate_series(1, 10) n",
    ] {
        run(db, sql).await;
    }
    let (ahead, zone_data) = (15 + size / 2_500, zone::DATA_VERSION);
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

/// From the common instant on: when so many bells had rung.
async fn follow(schedulers: &[Scheduler], size: i64) -> Lateness {
    let start = Instant::now();
    let mut looks: Vec<(f64, i64)> = Vec::new();
    while looks.last().is_none_or(|(_, rung)| *rung < size) {
        assert!(start.elapsed() < PATIENCE, "only so many bells rang: {:?}", looks.last());
        tokio::time::sleep(LOOK_EVERY).await;
        let mut rung = 0;
        for scheduler in schedulers {
            rung += scheduler.bells().await;
        }
        looks.push((start.elapsed().as_secs_f64(), rung));
    }
    let at = |share: f64| {
        let wanted = (size as f64 * share).ceil() as i64;
        looks.iter().find(|(_, rung)| *rung >= wanted).unwrap().0
    };
    Lateness { p50: at(0.5), p99: at(0.99), max: at(1.0) }
}

/// Each fired exactly once and is armed once more; answers when the rows were committed, by the database's clock.
async fn check(db: &PgPool, size: i64) -> Lateness {
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
    let quantiles: Vec<f64> = sqlx::query_scalar(
        "SELECT percentile_disc(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (
             ORDER BY extract(epoch FROM pg_xact_commit_timestamp(xmin) - fire_at)::float8) FROM runs",
    )
    .fetch_one(db)
    .await
    .unwrap();
    Lateness { p50: quantiles[0], p99: quantiles[1], max: quantiles[2] }
}
