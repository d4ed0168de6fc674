//! Rows that have done their work, of all tenants: removed in small steps once they are old.

use std::time::Duration;

use sqlx::PgPool;

use super::Result;

/// Removes up to `limit` events older than `age`; answers how many. A stream that resumes from before them starts at the
/// oldest that is left.
///
/// # Errors
/// When the database does not do it.
pub async fn events(db: &PgPool, age: Duration, limit: i64) -> Result<u64> {
    let removed = sqlx::query!(
        "DELETE FROM events WHERE (tenant_id, txid, id) IN (
             SELECT tenant_id, txid, id FROM events
             WHERE created_at < now() - make_interval(secs => $1) ORDER BY created_at LIMIT $2)",
        age.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected())
}

/// Removes up to `limit` deliveries to webhooks older than `age`; answers how many. All attempts take about a day: what is
/// older and still waits, waits at a webhook that is disabled.
///
/// # Errors
/// When the database does not do it.
pub async fn webhook_deliveries(db: &PgPool, age: Duration, limit: i64) -> Result<u64> {
    let removed = sqlx::query!(
        "DELETE FROM webhook_deliveries WHERE id IN (
             SELECT id FROM webhook_deliveries
             WHERE created_at < now() - make_interval(secs => $1) ORDER BY created_at LIMIT $2)",
        age.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected())
}

/// Removes up to `limit` workers that have been silent for `age` and own nothing; answers how many.
///
/// # Errors
/// When the database does not do it.
pub async fn workers(db: &PgPool, age: Duration, limit: i64) -> Result<u64> {
    let removed = sqlx::query!(
        "DELETE FROM workers WHERE id IN (
             SELECT w.id FROM workers w
             WHERE w.last_seen < now() - make_interval(secs => $1)
               AND NOT EXISTS (SELECT FROM leases l WHERE l.owner = w.id)
             ORDER BY w.last_seen LIMIT $2)",
        age.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected())
}

/// Removes up to `limit` runs, with their targets, that have been over for `age`; answers how many.
///
/// # Errors
/// When the database does not do it.
pub async fn runs(db: &PgPool, age: Duration, limit: i64) -> Result<u64> {
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

/// Removes up to `limit` notifications older than `age`, read or not; answers how many.
///
/// # Errors
/// When the database does not do it.
pub async fn notifications(db: &PgPool, age: Duration, limit: i64) -> Result<u64> {
    let removed = sqlx::query!(
        "DELETE FROM notifications WHERE id IN (
             SELECT id FROM notifications WHERE created_at < now() - make_interval(secs => $1) ORDER BY created_at LIMIT $2)",
        age.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected())
}
