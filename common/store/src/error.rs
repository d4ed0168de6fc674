//! Why a store call failed.

use domain::conflict::Conflict;
use process::telemetry::metrics::failure;

/// Why a store call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another owner has claimed the account, or the account is gone. Stop acting for it at once.
    #[error("fenced: the account was claimed by another owner or removed")]
    Fenced,
    /// The tenant has no such row.
    #[error("not found")]
    NotFound,
    /// The row exists, but its current state does not allow this.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// It was edited since the caller read it. Holds the current version.
    #[error("It has been edited since: its version is {0} now")]
    Changed(i32),
    /// The connection that this store belonged to has ended, so it may not write any more.
    #[error("the connection that wrote here has ended")]
    Closed,
    /// The database failed.
    #[error("database: {0}")]
    Database(#[source] sqlx::Error),
    /// The database was away, busy or restarting when another task asked on the caller's behalf.
    #[error("database: {0}")]
    Unavailable(String),
    /// A record is sealed under a key that this process does not have. It stays unchanged.
    #[error("a record is sealed under key `{key_id}`, which is not configured")]
    UnknownKey {
        /// The id of the key.
        key_id: String,
    },
    /// A stored value could not be read back.
    #[error("stored value: {0}")]
    Corrupt(String),
}

/// Every database failure is converted here, exactly once, and counted by its kind.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        failure::count_postgres(&error);
        Self::Database(error)
    }
}

impl Error {
    /// What happened to the database, in words, for another call that failed with this one.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Database(error) => error.to_string(),
            Self::Unavailable(says) => says.clone(),
            other => other.to_string(),
        }
    }

    /// Whether Postgres aborted the transaction to resolve a deadlock (SQLSTATE 40P01).
    pub(crate) fn is_deadlock(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40P01"))
    }

    /// Whether the database could not carry out this call because of what others do with its rows: a lock that was not
    /// to be had in time, a statement that took too long, a deadlock (SQLSTATE 55P03, 57014, 40P01, 40001).
    pub(crate) fn is_of_the_call(&self) -> bool {
        let codes = ["55P03", "57014", "40P01", "40001"];
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.code().is_some_and(|code| codes.contains(&&*code)))
    }

    /// Whether the same call may succeed later: the database was away, busy, restarting, full or read-only. Errors of
    /// the call itself (SQLSTATE classes 21, 22, 23, 42, 54) occur each time.
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

    /// Whether the given values can't be stored (SQLSTATE classes 22, 23 and 54). Other values may be.
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
