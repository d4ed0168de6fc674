//! Removes old deliveries and secrets.

use std::time::Duration;

use crate::error::Result;
use crate::scope::ForAllTenants;

/// Fails up to `limit` deliveries that have been due for `age` but could not be tried, for example because their
/// webhook is disabled. Returns how many.
///
/// # Errors
/// If the database fails.
pub async fn fail_left_deliveries(all: ForAllTenants<'_>, age: Duration, limit: i64) -> Result<u64> {
    let ForAllTenants { pool: db } = all;
    let failed = sqlx::query!(
        "UPDATE webhook_deliveries SET state = 'failed', last_error = 'expired', finished_at = now()
         WHERE state = 'pending' AND id IN (
             SELECT id FROM webhook_deliveries
             WHERE state = 'pending' AND next_attempt_at < now() - make_interval(secs => $1)
             ORDER BY next_attempt_at LIMIT $2)",
        age.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(failed.rows_affected())
}

/// Removes up to `limit` deliveries that ended longer ago than `age`. Returns how many.
///
/// # Errors
/// If the database fails.
pub async fn prune_deliveries(all: ForAllTenants<'_>, age: Duration, limit: i64) -> Result<u64> {
    let ForAllTenants { pool: db } = all;
    let removed = sqlx::query!(
        "DELETE FROM webhook_deliveries WHERE id IN (
             SELECT id FROM webhook_deliveries
             WHERE finished_at < now() - make_interval(secs => $1) ORDER BY finished_at LIMIT $2)",
        age.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected())
}

/// Erases up to `limit` previous secrets that no longer sign. Returns how many.
///
/// # Errors
/// If the database fails.
pub async fn erase_old_secrets(all: ForAllTenants<'_>, limit: i64) -> Result<u64> {
    let ForAllTenants { pool: db } = all;
    let erased = sqlx::query!(
        "UPDATE webhooks SET previous_secret = NULL, previous_secret_until = NULL WHERE id IN (
             SELECT id FROM webhooks WHERE previous_secret_until < now() LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit
    )
    .execute(db)
    .await?;
    Ok(erased.rows_affected())
}
