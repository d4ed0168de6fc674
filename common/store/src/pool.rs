//! Connection pools, and limits for their answers.

use std::str::FromStr;
use std::time::Duration;

use process::telemetry::metrics::failure;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};

use super::error::{Error, Result};

/// Checks that the database answers.
///
/// # Errors
/// If it does not.
pub async fn ping(pool: &PgPool) -> Result<()> {
    Ok(pool.acquire().await?.ping().await?)
}

/// How long one call may wait for an answer. Without this limit, a call to a host that died silently would wait for a
/// quarter of an hour.
pub const ANSWER: Duration = Duration::from_secs(10);

/// How long a returned connection may take to answer a ping.
const RETURN: Duration = Duration::from_secs(2);

/// Waits for the answer to one call at most for [`ANSWER`]. Only for calls that may be repeated even if the first one
/// was executed.
///
/// # Errors
/// `Unavailable` if there is no answer in time; otherwise the error of the call.
pub async fn answered<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    let silent = || {
        failure::count_postgres_timeout();
        Error::Unavailable(format!("no answer within {ANSWER:?}"))
    };
    tokio::time::timeout(ANSWER, call).await.unwrap_or_else(|_| Err(silent()))
}

/// How long a transaction may wait for its own client. So a client whose host has vanished or is frozen does not hold
/// its locks for longer, and can't commit hours later with an outdated clock.
const IDLE_IN_TRANSACTION: &str = "30s";

/// Opens the pool. `acquire` waits at most five seconds, so that an exhausted pool causes an error instead of a hang. A
/// connection whose server does not answer is removed from the pool when it is returned.
///
/// # Errors
/// If the URL is malformed or the database can't be reached.
pub async fn connect(url: &str, max_connections: u32) -> Result<PgPool> {
    Ok(pool(max_connections).connect_with(options(url)?).await?)
}

/// Like [`connect`], but the first connection is made when it is needed.
///
/// # Errors
/// If the URL is malformed.
pub fn connect_lazily(url: &str, max_connections: u32) -> Result<PgPool> {
    Ok(pool(max_connections).connect_lazy_with(options(url)?))
}

/// How long a statement of a session may wait for a lock, and how long it may take in all. Both are shorter than the
/// time for which its caller waits ([`ANSWER`], with five seconds for a connection).
const LOCK: &str = "2s";
const STATEMENT: &str = "4s";
/// How long one of its transactions may wait for its client. It may hold locks of many accounts.
const BETWEEN: &str = "5s";

/// Like [`connect_lazily`], for what sessions write together. The server ends the statements of this pool that take
/// long. So one that its caller has given up does not go on: it could write after a later one, or hold up others.
///
/// # Errors
/// If the URL is malformed.
pub fn connect_impatiently(url: &str, max_connections: u32) -> Result<PgPool> {
    Ok(pool(max_connections).connect_lazy_with(limited(options(url)?)))
}

fn limited(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("lock_timeout", LOCK),
        ("statement_timeout", STATEMENT),
        ("idle_in_transaction_session_timeout", BETWEEN),
    ])
}

/// The options of each connection.
///
/// # Errors
/// If the URL is malformed.
pub fn options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url)?;
    let options = if options.get_application_name().is_some() { options } else { options.application_name(&program()) };
    Ok(options.options([("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION)]))
}

/// The name of the running program, which `pg_stat_activity` shows for each connection; cut to the length that Postgres
/// keeps.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name().unwrap_or_default().to_string_lossy().chars().take(63).collect()
}

fn pool(max_connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false) // costs a round trip per call; a broken connection causes an error of its query
        .after_release(|connection, _| {
            Box::pin(async move {
                let silent = || sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
                tokio::time::timeout(RETURN, connection.ping()).await.unwrap_or_else(|_| Err(silent())).map(|()| true)
            })
        })
}
