//! All SQL of the house: one file per table, the tenant's id first in every signature (cross-tenant ones say so by name).

pub use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::MaybePoolConnection;
pub use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection, Postgres};
use std::str::FromStr;
use std::time::Duration;

use domain::conflict::Conflict;
use domain::id::AccountId;
use process::telemetry::metrics::failure;

pub mod accounts;
pub mod admin;
pub mod api_keys;
pub mod audit;
mod call_back;
pub mod credentials;
pub mod dashboard;
pub mod doctor;
pub mod due;
pub mod era;
pub mod events;
pub mod groups;
pub mod hand_overs;
pub mod handing;
pub mod idempotency;
pub mod inbound;
mod interval;
pub mod keys;
pub mod leases;
pub mod measure;
pub mod messages;
pub mod neglected;
pub mod notifications;
pub mod outbox;
pub mod page;
pub mod pairing;
pub mod passkeys;
pub mod pings;
pub mod reminders;
pub mod retention;
pub mod runs;
pub mod seal;
pub mod server;
pub mod session;
pub mod settings;
pub mod signs;
pub mod startup;
pub mod tenants;
pub mod unsent;
pub mod waiting;
pub mod webhooks;
pub mod workers;

/// The schema, forward only; `switchboard-api migrate` runs it.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// How often a migration is tried that met a table in use.
const MIGRATION_TRIES: usize = 60;
/// The wait before it is tried again.
const MIGRATION_PAUSE: Duration = Duration::from_secs(1);

/// Brings the schema up to date, while others work with it. A migration waits for a table at most for the `lock_timeout`
/// that it sets, since everybody else waits behind it; then it is tried again.
///
/// # Errors
/// When the database can't be reached, a migration fails, or it met a table in use for a minute.
pub async fn migrate(url: &str) -> Result<()> {
    let mut tries = 1..MIGRATION_TRIES;
    loop {
        let db = connect(url, 1).await?; // anew each time: a migration that failed keeps the migrator's lock
        let migrated = migrator().run(&db).await;
        db.close().await;
        match migrated {
            Err(error) if is_lock_timeout(&error) && tries.next().is_some() => {
                tracing::info!("a table is in use; the migration is tried again");
                tokio::time::sleep(MIGRATION_PAUSE).await;
            }
            done => return done.map_err(|error| Error::Database(error.into())),
        }
    }
}

/// As [`MIGRATOR`], on a schema that may be newer than this program: what it does not know stays as it is.
fn migrator() -> Migrator {
    let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().collect());
    migrator.set_ignore_missing(true);
    migrator
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("55P03"))
}

/// Where a step is carried out.
pub enum Db<'c> {
    /// With a connection of its own.
    Alone(&'c PgPool),
    /// On this connection: the step becomes a part of its transaction.
    Within(&'c mut PgConnection),
}

impl<'c> From<&'c PgPool> for Db<'c> {
    fn from(pool: &'c PgPool) -> Self {
        Self::Alone(pool)
    }
}

impl<'c> From<&'c mut PgConnection> for Db<'c> {
    fn from(connection: &'c mut PgConnection) -> Self {
        Self::Within(connection)
    }
}

impl<'c> Db<'c> {
    async fn acquire(self) -> Result<MaybePoolConnection<'c, Postgres>> {
        Ok(match self {
            Self::Alone(pool) => pool.acquire().await?.into(),
            Self::Within(connection) => connection.into(),
        })
    }
}

/// The right to write for one account's live session: the account and the epoch under which it was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Whose session.
    pub account: AccountId,
    /// The claim's number; a later claim has a higher one.
    pub epoch: i64,
}

/// Why a store call did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another owner has claimed the account since (or it is gone): stop acting for it at once.
    #[error("fenced: the account was claimed by another owner or removed")]
    Fenced,
    /// No such row for this tenant.
    #[error("not found")]
    NotFound,
    /// The row exists, but its present state does not allow this.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// It has been edited since it was read.
    #[error("It has been edited since: its version is {0} now")]
    Changed(i32),
    /// The connection that wrote here has ended: it may write no more.
    #[error("the connection that wrote here has ended")]
    Closed,
    /// The database did not do it.
    #[error("database: {0}")]
    Database(#[source] sqlx::Error),
    /// The database was away, busy or restarting when somebody asked on our behalf.
    #[error("database: {0}")]
    Unavailable(String),
    /// A record is sealed under a key that this process was not given: it is somebody else's to read, and stays as it is.
    #[error("a record is sealed under key `{key_id}`, which is not configured")]
    UnknownKey {
        /// The key's id.
        key_id: String,
    },
    /// A stored value could not be read back.
    #[error("stored value: {0}")]
    Corrupt(String),
}

/// Every failure of the database comes through here, once, and is counted by its kind.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        failure::count_postgres(&error);
        Self::Database(error)
    }
}

impl Error {
    /// Postgres gave the transaction up to resolve a deadlock (SQLSTATE 40P01).
    fn is_deadlock(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40P01"))
    }

    /// Whether the same call may succeed later: the database was away, busy, restarting, full or read-only. What it says of
    /// the call itself (SQLSTATE classes 21, 22, 23, 42, 54) fails each time.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Fenced
            | Self::NotFound
            | Self::Conflict(_)
            | Self::Changed(_)
            | Self::Closed
            | Self::UnknownKey { .. }
            | Self::Corrupt(_) => false,
            Self::Database(sqlx::Error::Database(error)) => !in_classes(&**error, &["21", "22", "23", "42", "54"]),
            Self::Database(
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
            ) => true,
            Self::Database(_) => false,
        }
    }

    /// Whether it is the values that can't be stored (SQLSTATE classes 22, 23 and 54): others may be.
    #[must_use]
    pub fn is_unstorable(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if in_classes(&**error, &["22", "23", "54"]))
    }
}

impl process::telemetry::trace::Fault for Error {
    fn fault(&self) -> Option<&'static str> {
        match self {
            Self::NotFound | Self::Conflict(_) | Self::Changed(_) | Self::Closed => None,
            Self::Fenced => Some("fenced"),
            Self::UnknownKey { .. } => Some("unknown_key"),
            Self::Corrupt(_) => Some("corrupt"),
            Self::Database(_) | Self::Unavailable(_) => Some("database"),
        }
    }
}

fn in_classes(error: &dyn sqlx::error::DatabaseError, classes: &[&str]) -> bool {
    error.code().is_some_and(|code| classes.iter().any(|class| code.starts_with(class)))
}

/// The result of a store call.
pub type Result<T> = std::result::Result<T, Error>;

/// How often a transaction is tried that lost a deadlock.
const TRIES: usize = 3;

/// Tries a transaction again that Postgres gave up to resolve a deadlock (SQLSTATE 40P01): the other one has gone on by then.
async fn again<T, F: Future<Output = Result<T>>>(step: impl Fn() -> F) -> Result<T> {
    for _ in 1..TRIES {
        match step().await {
            Err(error) if error.is_deadlock() => {}
            done => return done,
        }
    }
    step().await
}

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
