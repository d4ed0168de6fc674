//! The log of a worker on a machine whose clock is wrong.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{ConnectOptions as _, PgPool};

/// R60: a wrong clock is reported in one line, with what depends on it, and does not stop the work.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_wrong_clock_is_said(pool: PgPool) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_switchboard-worker"))
        .env_clear()
        .env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string())
        .env("CREDENTIAL_KEYS", "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
        .env("REDIS_URL", "redis://127.0.0.1:1")
        .env("OPS_LISTEN", "127.0.0.1:0")
        .env("WHATSAPP_URL", "ws://127.0.0.1:1/ws/chat")
        .env("WHATSAPP_VERSION", "2.3000.1")
        .env("CLOCK_SKEW_S", "30")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let began = Instant::now();
    let said = tokio::task::spawn_blocking(move || {
        let mut said = Vec::new();
        for line in lines.map_while(Result::ok) {
            let is_up = line.contains("worker started");
            said.push(line);
            if is_up || began.elapsed() > Duration::from_secs(60) {
                break;
            }
        }
        said
    });
    let said = said.await.unwrap();
    let _ = child.kill();
    let _ = child.wait();
    let clock: Vec<&String> = said.iter().filter(|line| line.contains("this machine's clock is ")).collect();
    assert_eq!(clock.len(), 1, "{said:?}");
    assert!(clock[0].contains("s ahead of Postgres's: set both by NTP"), "{said:?}");
    assert!(said.last().unwrap().contains("worker started"), "it works all the same: {said:?}");
}
