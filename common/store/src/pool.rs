//! Pools of connections, and how long their answers may take.

use std::str::FromStr;
use std::time::Duration;

use process::telemetry::metrics::failure;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};

use super::error::{Error, Result};

/// Whether the database answers.
///
/// # Errors
/// When it does not.
pub async fn ping(pool: &PgPool) -> Result<()> {
    Ok(pool.acquire().await?.ping().await?)
}

/// How long one call may wait for an answer; a host that died without a word would not let go for a quarter of an hour.
pub const ANSWER: Duration = Duration::from_secs(10);

/// How long a connection that is given back may take to say that it is in order.
const RETURN: Duration = Duration::from_secs(2);

/// Waits for the answer to one call at most for [`ANSWER`]. For calls that may be made again whether or not the first was
/// carried out.
///
/// # Errors
/// `Unavailable` when there is none in time; else what the call says.
pub async fn answered<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    let silent = || {
        failure::count_postgres_timeout();
        Error::Unavailable(format!("no answer within {ANSWER:?}"))
    };
    tokio::time::timeout(ANSWER, call).await.unwrap_or_else(|_| Err(silent()))
}

/// How long a transaction may wait for its own client. One whose host has vanished, or was frozen, holds its locks no longer
/// than that, and does not commit hours later by a clock that stood still.
const IDLE_IN_TRANSACTION: &str = "30s";

/// Opens the pool. `acquire` waits at most five seconds, so that an exhausted pool shows as an error and not as a hang; a
/// connection whose far end is silent leaves the pool instead of keeping its place.
///
/// # Errors
/// When the URL is malformed or the database can't be reached.
pub async fn connect(url: &str, max_connections: u32) -> Result<PgPool> {
    Ok(pool(max_connections).connect_with(options(url)?).await?)
}

/// As [`connect`], with its first connection made when it is first needed.
///
/// # Errors
/// When the URL is malformed.
pub fn connect_lazily(url: &str, max_connections: u32) -> Result<PgPool> {
    Ok(pool(max_connections).connect_lazy_with(options(url)?))
}

/// How each connection is made.
///
/// # Errors
/// When the URL is malformed.
pub fn options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url)?;
    let options = if options.get_application_name().is_some() { options } else { options.application_name(&program()) };
    Ok(options.options([("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION)]))
}

/// Who holds a connection, as `pg_stat_activity` shows it: the name of the running program, at most as long as Postgres keeps.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name().unwrap_or_default().to_string_lossy().chars().take(63).collect()
}

fn pool(max_connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false) // a round trip on every call; a connection that broke shows as an error of its query
        .after_release(|connection, _| {
            Box::pin(async move {
                let silent = || sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
                tokio::time::timeout(RETURN, connection.ping()).await.unwrap_or_else(|_| Err(silent())).map(|()| true)
            })
        })
}
