//! Removes runs that finished long ago.

use std::time::Duration;

use crate::error::Result;
use crate::scope::ForAllTenants;

/// Removes up to `limit` runs, with their targets, that finished more than `age` ago. Returns how many.
///
/// # Errors
/// If the database fails.
pub async fn prune(all: ForAllTenants<'_>, age: Duration, limit: i64) -> Result<u64> {
    let ForAllTenants { pool: db } = all;
    let removed = sqlx::query!(
        "DELETE FROM runs WHERE id IN (
             SELECT id FROM runs WHERE finished_at < now() - make_interval(secs => $1) ORDER BY finished_at LIMIT $2
             FOR UPDATE SKIP LOCKED)",
        age.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected())
}
