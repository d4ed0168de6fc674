//! The whole process: two schedulers side by side.

use std::time::{Duration, Instant};

use common::store::MIGRATOR;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::house;

/// R03: two schedulers fire each occurrence once, on time, and stop gracefully.
#[sqlx::test(migrator = "MIGRATOR")]
async fn two_schedulers_fire_once_and_on_time(db: PgPool) {
    let stop = CancellationToken::new();
    let mut schedulers = Vec::new();
    for _ in 0..2 {
        let config = house::config(&house::url_of(&db).await);
        let listener = TcpListener::bind(config.listen).await.unwrap();
        schedulers.push(tokio::spawn(scheduler::run(config, listener, stop.clone())));
    }
    let of = house::account(&db).await;
    for index in 0..100 {
        house::reminder(&db, of, 1_000 + index * 15).await;
    }
    let began = Instant::now();
    loop {
        let runs: i64 = sqlx::query_scalar("SELECT count(*) FROM runs").fetch_one(&db).await.unwrap();
        if runs == 100 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{runs} of 100");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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
    stop.cancel();
    for scheduler in schedulers {
        tokio::time::timeout(Duration::from_secs(10), scheduler).await.unwrap().unwrap().unwrap();
    }
}

/// Flags and variables of all sections go together.
#[test]
fn the_command_line_is_sound() {
    <scheduler::Config as clap::CommandFactory>::command().debug_assert();
}
