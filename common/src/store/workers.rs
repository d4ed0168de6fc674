//! SQL of `workers`: one row per boot of a worker; its heartbeat keeps its accounts from being claimed by others.

use sqlx::PgPool;

use super::{Error, Result};
use crate::id::WorkerId;

/// Writes the row of a new boot.
///
/// # Errors
/// When the database fails.
pub async fn register(pool: &PgPool, id: WorkerId, name: &str, version: &str, capacity: i32) -> Result<()> {
    sqlx::query!(
        "INSERT INTO workers (id, name, version, capacity) VALUES ($1, $2, $3, $4)",
        id.0,
        name,
        version,
        capacity
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// "I am alive."
///
/// # Errors
/// `NotFound` when the row is gone or says that this worker has stopped; else when the database fails.
pub async fn heartbeat(pool: &PgPool, id: WorkerId) -> Result<()> {
    let done = sqlx::query!("UPDATE workers SET last_seen = now() WHERE id = $1 AND stopped_at IS NULL", id.0)
        .execute(pool)
        .await?;
    if done.rows_affected() == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// "I have closed every socket and go": whatever it still owns may be claimed at once.
///
/// # Errors
/// When the database fails.
pub async fn stopped(pool: &PgPool, id: WorkerId) -> Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query!("UPDATE workers SET stopped_at = now() WHERE id = $1", id.0).execute(&mut *tx).await?;
    sqlx::query!("UPDATE leases SET owner = NULL WHERE owner = $1", id.0).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
