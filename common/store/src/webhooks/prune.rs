//! Deliveries and secrets that have done their work are removed.

use std::time::Duration;

use crate::error::Result;
use crate::scope::ForAllTenants;

/// Fails up to `limit` deliveries to webhooks whose time came so long ago that nobody could try them, as at a webhook that is
/// disabled; answers how many. Their state tells it until they are removed.
///
/// # Errors
/// When the database does not do it.
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

/// Removes up to `limit` deliveries to webhooks that ended longer ago than `age`; answers how many.
///
/// # Errors
/// When the database does not do it.
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

/// Erases up to `limit` secrets of webhooks that sign no more, as their overlap is over; answers how many.
///
/// # Errors
/// When the database does not do it.
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
