//! Many reminders that are due at the same time: how late they fire, and how many two schedulers fire per second.
//!
//! It uses the Postgres of `DATABASE_URL` with a database for each size, the Redis of `REDIS_URL`, and processes of the
//! binary `SCHEDULER`. No worker answers the bells, so only the schedulers are measured. `SIZES=1000,10000` chooses
//! sizes.

use std::path::Path;
use std::time::{Duration, Instant};

use kit::{Process, Processes, Program, Settings, many_due};
use sqlx::PgPool;
use store::MIGRATOR;

use crate::variable;

const SIZES: &str = "1000,10000,50000";
const SCHEDULERS: usize = 2;
/// The pause between two counts of the bells.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// The longest time until the last bell.
const PATIENCE: Duration = Duration::from_secs(300);

/// Seconds after the time at which the reminders were due, by quantile.
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

/// Starts a scheduler.
async fn start(database: &str, prefix: &str) -> Process {
    let settings = Settings::default().with(&[
        ("DATABASE_URL", database),
        ("REDIS_PREFIX", prefix),
        ("RING_AGAIN_S", "3600"), // because no worker answers, every bell would ring again
        ("RUST_LOG", "warn"),
    ]);
    let (path, how) = (variable("SCHEDULER").into(), Processes::of(Path::new("")));
    let process = Process::start(Program::Scheduler, path, "scheduler", &settings, &how).unwrap();
    process.ready().await.unwrap();
    process
}

/// The number of bells of runs that a scheduler has rung so far.
async fn rung(scheduler: &Process) -> i64 {
    let metrics = reqwest::get(format!("{}/metrics", scheduler.ops_url())).await.unwrap().text().await.unwrap();
    let counters =
        metrics.lines().filter(|line| line.starts_with("switchboard_bells_rung_total{kind=\"fire_reminder\""));
    let counts = counters.filter(|line| !line.contains("\"failed\"")).filter_map(|line| line.rsplit(' ').next());
    counts.map(|count| count.parse::<f64>().unwrap_or(0.0) as i64).sum()
}

/// Measures each size.
pub(crate) async fn measure() {
    let server = PgPool::connect(&variable("DATABASE_URL")).await.unwrap();
    println!(
        "| due at once | run rows committed: p50 | p99 | max | bells rung: p50 | p99 | max | occurrences per second |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    let sizes = std::env::var("SIZES").unwrap_or_else(|_| SIZES.to_owned());
    for size in sizes.split(',').map(|size| size.parse().expect("SIZES are numbers")) {
        let name = format!("switchboard_bench_{size}_{}", std::process::id());
        many_due::create(&server, &name).await;
        one_size(&name, size).await;
        many_due::drop(&server, &name).await;
    }
}

async fn one_size(name: &str, size: i64) {
    let url = variable("DATABASE_URL");
    let (server, _) = url.rsplit_once('/').unwrap();
    let url = format!("{server}/{name}");
    let db = PgPool::connect(&url).await.unwrap();
    MIGRATOR.run(&db).await.unwrap();
    many_due::fill(&db, size).await;
    let prefix = format!("bench-{name}:");
    let mut schedulers = Vec::new();
    for _ in 0..SCHEDULERS {
        schedulers.push(start(&url, &prefix).await);
    }
    let left = many_due::left(&db).await;
    assert!(left > Duration::from_secs(2), "the reminders were due before the schedulers were ready");
    tokio::time::sleep(left).await;
    let bells = follow(&schedulers, size).await;
    let [p50, p99, max] = many_due::check(&db, size).await;
    let committed = Lateness { p50, p99, max };
    println!("| {size} | {committed} | {bells} | {:.0} |", size as f64 / bells.max);
    drop(schedulers);
    db.close().await;
}

/// From the time at which the reminders are due: returns when the bells of each share of them had rung.
async fn follow(schedulers: &[Process], size: i64) -> Lateness {
    let start = Instant::now();
    let mut looks: Vec<(f64, i64)> = Vec::new();
    while looks.last().is_none_or(|(_, rung)| *rung < size) {
        assert!(start.elapsed() < PATIENCE, "only so many bells rang: {:?}", looks.last());
        tokio::time::sleep(LOOK_EVERY).await;
        let mut bells = 0;
        for scheduler in schedulers {
            bells += rung(scheduler).await;
        }
        looks.push((start.elapsed().as_secs_f64(), bells));
    }
    let at = |share: f64| {
        let wanted = (size as f64 * share).ceil() as i64;
        looks.iter().find(|(_, rung)| *rung >= wanted).unwrap().0
    };
    Lateness { p50: at(0.5), p99: at(0.99), max: at(1.0) }
}
