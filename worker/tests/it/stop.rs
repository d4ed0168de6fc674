//! The end of the real process: the first SIGTERM asks for an ordered stop, the second one for an immediate stop.

use std::path::Path;
use std::time::{Duration, Instant};

use kit::{Line, Process, Processes, Program, Proxy, Settings, Signal, redis_prefix, redis_url, until};
use sqlx::{ConnectOptions as _, PgPool};

/// A worker process that reaches Postgres through a proxy and has registered.
async fn process(pool: &PgPool) -> (Process, Proxy) {
    let (line, url) = Proxy::before(pool.connect_options().to_url_lossy().as_str()).await.unwrap();
    let settings = Settings::simulated().with(&[
        ("DATABASE_URL", &url),
        ("REDIS_URL", &redis_url()),
        ("REDIS_PREFIX", &redis_prefix()),
        ("WHATSAPP_URL", "ws://127.0.0.1:1/ws/chat"),
    ]);
    let (program, how) = (env!("CARGO_BIN_EXE_switchboard-worker"), Processes::of(Path::new("")));
    let process = Process::start(Program::Worker, program.into(), "worker", &settings, &how).unwrap();
    let registered = "SELECT count(*) FROM workers WHERE stopped_at IS NULL";
    until("registered", async || {
        (sqlx::query_scalar::<_, i64>(registered).fetch_one(pool).await.unwrap() == 1).then_some(())
    })
    .await;
    (process, line)
}

/// R61: after one SIGTERM it reports that it has stopped, and exits with 0.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_sigterm_ends_it_in_order(pool: PgPool) {
    let (mut process, _line) = process(&pool).await;
    let ended = process.stop(Duration::from_secs(20)).await.unwrap().expect("it did not end");
    assert_eq!(ended.code(), Some(0));
    let stopped = "SELECT count(*) FROM workers WHERE stopped_at IS NOT NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(stopped).fetch_one(&pool).await.unwrap(), 1);
}

/// R61: a stop that hangs, here because Postgres has fallen silent, ends within three seconds of a second SIGTERM.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_second_sigterm_ends_it_at_once(pool: PgPool) {
    let (mut process, line) = process(&pool).await;
    line.set(Line::Silent);
    process.signal(Signal::TERM);
    assert_eq!(process.end(Duration::from_secs(3)).await.unwrap(), None, "it waits for Postgres first");
    let start = Instant::now();
    let ended = process.stop(Duration::from_secs(20)).await.unwrap().expect("it did not end");
    assert_eq!(ended.code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}
