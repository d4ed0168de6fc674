//! The schema and its migrations.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};

use super::error::{Error, Result};
use super::pool::connect;

/// The migrations, forward only. `switchboard-api migrate` runs them.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// How often a migration is tried if a table is in use.
const MIGRATION_TRIES: usize = 60;

/// The wait before it is tried again.
const MIGRATION_PAUSE: Duration = Duration::from_secs(1);

/// Applies missing migrations while other processes use the database. A migration waits for a table no longer than the
/// `lock_timeout` that it sets, since all others wait behind it. Then it is tried again.
///
/// # Errors
/// If the database can't be reached, a migration fails, or a table was in use for a minute.
pub async fn migrate(url: &str) -> Result<()> {
    let mut tries = 1..MIGRATION_TRIES;
    loop {
        let db = connect(url, 1).await?; // a new pool each time: a failed migration keeps the migrator's lock
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

/// Like [`MIGRATOR`], for a schema that may be newer than this program. Unknown migrations are ignored.
fn migrator() -> Migrator {
    let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().collect());
    migrator.set_ignore_missing(true);
    migrator
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("55P03"))
}
