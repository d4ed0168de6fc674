//! The end of the real process: the first SIGTERM is an order to end in order, the second one to end at once.

use std::process::Stdio;
use std::time::{Duration, Instant};

use kit::{Line, Proxy};
use sqlx::{ConnectOptions as _, PgPool};
use tokio::process::{Child, Command};

use crate::house::until;

const KEYS: &str = "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A worker process that reaches Postgres through a line of its own; it has registered.
async fn process(pool: &PgPool) -> (Child, Proxy) {
    let mut url = pool.connect_options().to_url_lossy();
    let far = (url.host_str().unwrap().to_owned(), url.port().unwrap());
    let line = Proxy::start(tokio::net::lookup_host(far).await.unwrap().next().unwrap()).await.unwrap();
    url.set_ip_host(line.address().ip()).unwrap();
    url.set_port(Some(line.address().port())).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_switchboard-worker"))
        .env("DATABASE_URL", url.as_str())
        .env("CREDENTIAL_KEYS", KEYS)
        .env("REDIS_URL", std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned()))
        .env("REDIS_PREFIX", format!("test-{}:", uuid::Uuid::new_v4().simple()))
        .env("OPS_LISTEN", "127.0.0.1:0")
        .env("WHATSAPP_URL", "ws://127.0.0.1:1/ws/chat")
        .env("WHATSAPP_VERSION", "2.3000.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let registered = "SELECT count(*) FROM workers WHERE stopped_at IS NULL";
    until("registered", async || {
        (sqlx::query_scalar::<_, i64>(registered).fetch_one(pool).await.unwrap() == 1).then_some(())
    })
    .await;
    (child, line)
}

async fn terminate(child: &Child) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
}

/// R61: one SIGTERM: it says that it has stopped, and exits with 0.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_sigterm_ends_it_in_order(pool: PgPool) {
    let (mut child, _line) = process(&pool).await;
    terminate(&child).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await.expect("it did not end").unwrap();
    assert_eq!(ended.code(), Some(0));
    let stopped = "SELECT count(*) FROM workers WHERE stopped_at IS NOT NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(stopped).fetch_one(&pool).await.unwrap(), 1);
}

/// R61: a stop that hangs, here because Postgres has fallen silent, ends within three seconds of a second SIGTERM.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_second_sigterm_ends_it_at_once(pool: PgPool) {
    let (mut child, line) = process(&pool).await;
    line.set(Line::Silent);
    terminate(&child).await;
    let one = tokio::time::timeout(Duration::from_secs(3), child.wait()).await;
    assert!(one.is_err(), "it waits for Postgres first: {one:?}");
    let start = Instant::now();
    terminate(&child).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await.expect("it did not end").unwrap();
    assert_eq!(ended.code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}
