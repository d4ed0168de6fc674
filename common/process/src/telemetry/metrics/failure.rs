//! Classifies and counts errors of Postgres and Redis. They are counted where they become one of our own error types
//! (`store::Error`, the errors of `bells`), so that each failure counts once, however many callers it passes.

use std::io;

use redis::ServerErrorKind;
use sqlx::migrate::MigrateError;

use super::labels::{PostgresError, RedisError, RedisUser};
use super::page::{POSTGRES_ERRORS, REDIS_ERRORS};

/// Pure. The kind of a failed query to Postgres; `None` if it is not a failure but an answer.
#[must_use]
pub fn of_postgres(error: &sqlx::Error) -> Option<PostgresError> {
    match error {
        sqlx::Error::RowNotFound => None,
        sqlx::Error::PoolTimedOut => Some(PostgresError::PoolTimeout),
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Some(PostgresError::Timeout),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Some(PostgresError::Unreachable)
        }
        sqlx::Error::Database(error) => Some(error.code().map_or(PostgresError::Other, |code| of_sqlstate(&code))),
        sqlx::Error::Migrate(error) => match &**error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => of_postgres(error),
            _ => Some(PostgresError::Other),
        },
        _ => Some(PostgresError::Other),
    }
}

/// Pure. The kind of an error that Postgres reports, by its SQLSTATE (appendix A of the Postgres manual).
#[must_use]
pub fn of_sqlstate(code: &str) -> PostgresError {
    match code {
        // shut down by an admin, crashed, not up yet
        "57P01" | "57P02" | "57P03" => PostgresError::Unreachable,
        // canceled by a timeout, lock not acquired in time, idle in a transaction for too long, idle for too long
        "57014" | "55P03" | "25P03" | "57P05" => PostgresError::Timeout,
        "42501" => PostgresError::Permission,
        "25006" => PostgresError::ReadOnly,
        "53100" => PostgresError::DiskFull,
        "53300" => PostgresError::TooManyConnections,
        "40P01" | "40001" => PostgresError::Deadlock,
        _ => match code.get(..2) {
            Some("08") => PostgresError::Unreachable,
            Some("28") => PostgresError::Auth,
            Some("23") => PostgresError::Constraint,
            // no such database, schema, table, column, function
            Some("3D" | "3F" | "42") => PostgresError::Schema,
            _ => PostgresError::Other,
        },
    }
}

/// Pure. The kind of a failed query to Redis.
#[must_use]
pub fn of_redis(error: &redis::RedisError) -> RedisError {
    use redis::ErrorKind;
    if error.is_timeout() {
        return RedisError::Timeout;
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => RedisError::Auth,
        ErrorKind::Server(ServerErrorKind::ReadOnly) => RedisError::ReadOnly,
        ErrorKind::Io
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::Server(
            ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown,
        ) => RedisError::Unreachable,
        _ => of_redis_code(error.code().unwrap_or_default()),
    }
}

/// Pure. The kind of an error that Redis reports, by the first word of its answer.
fn of_redis_code(code: &str) -> RedisError {
    match code {
        "OOM" => RedisError::OutOfMemory,
        "NOAUTH" | "WRONGPASS" | "NOPERM" => RedisError::Auth,
        "READONLY" | "NOREPLICAS" | "MISCONF" => RedisError::ReadOnly,
        "LOADING" | "MASTERDOWN" => RedisError::Unreachable,
        _ => RedisError::Other,
    }
}

/// Counts a failed query to Postgres.
pub fn count_postgres(error: &sqlx::Error) {
    if let Some(kind) = of_postgres(error) {
        POSTGRES_ERRORS.of(kind).inc();
    }
}

/// Counts a query to Postgres that was not answered in time.
pub fn count_postgres_timeout() {
    POSTGRES_ERRORS.of(PostgresError::Timeout).inc();
}

/// Counts a failed query to Redis.
pub fn count_redis(user: RedisUser, error: &redis::RedisError) {
    REDIS_ERRORS.of((user, of_redis(error))).inc();
}

/// Counts a query to Redis that was not answered in time.
pub fn count_redis_timeout(user: RedisUser) {
    REDIS_ERRORS.of((user, RedisError::Timeout)).inc();
}
