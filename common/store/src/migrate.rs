//! The schema, and bringing it up to date.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};

use super::error::{Error, Result};
use super::pool::connect;

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
