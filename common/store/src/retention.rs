//! Rows that have done their work, of all tenants: removed in small steps once they are old.

use std::time::Duration;

use sqlx::PgPool;

use super::Result;
use domain::event::Kind;
use domain::id::TenantId;

/// Removes up to `limit` events older than `age`; answers how many, and which tenants are told. A stream that resumes from
/// before them is refused (R94). What a webhook in use had still to take is lost to it: in the same statement
/// an event says so.
///
/// # Errors
/// When the database does not do it.
pub async fn events(db: &PgPool, age: Duration, limit: i64) -> Result<(u64, Vec<TenantId>)> {
    let row = sqlx::query!(
        r#"
        WITH gone AS (
            DELETE FROM events WHERE (tenant_id, txid, id) IN (
                SELECT tenant_id, txid, id FROM events
                WHERE created_at < now() - make_interval(secs => $1) ORDER BY created_at LIMIT $2)
            RETURNING tenant_id, txid, id, kind, created_at),
        forgotten AS (
            UPDATE tenants t SET events_gone_txid = last.txid, events_gone_id = last.id
            FROM (SELECT DISTINCT ON (tenant_id) tenant_id, txid::text::bigint AS txid, id FROM gone
                  ORDER BY tenant_id, txid DESC, id DESC) last
            WHERE t.id = last.tenant_id
              AND (t.events_gone_txid IS NULL OR (t.events_gone_txid, t.events_gone_id) < (last.txid, last.id))),
        dropped AS (
            SELECT h.tenant_id, h.id, count(*) AS count, max(gone.created_at) AS until
            FROM gone JOIN webhooks h ON h.tenant_id = gone.tenant_id
            WHERE h.enabled AND (gone.txid, gone.id) > (h.cursor_txid::text::xid8, h.cursor_id)
              AND (h.kinds = '{}' OR gone.kind = ANY (h.kinds))
            GROUP BY h.tenant_id, h.id),
        told AS (
            SELECT write_events(array_agg(ROW(tenant_id, NULL, $3::text,
                jsonb_build_object('webhook_id', id, 'count', count, 'until', until), NULL)::new_event)) AS written FROM dropped)
        SELECT (SELECT count(*) FROM gone) AS "removed!", ARRAY(SELECT tenant_id FROM dropped) AS "told!: Vec<TenantId>",
            (SELECT written FROM told)
        "#,
        age.as_secs_f64(),
        limit,
        Kind::WebhookEventsDropped.as_str()
    )
    .fetch_one(db)
    .await?;
    Ok((row.removed.unsigned_abs(), row.told))
}

/// Fails up to `limit` deliveries to webhooks whose time came so long ago that nobody could try them, as at a webhook that is
/// disabled; answers how many. Their state tells it until they are removed.
///
/// # Errors
/// When the database does not do it.
pub async fn left_deliveries(db: &PgPool, age: Duration, limit: i64) -> Result<u64> {
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
pub async fn webhook_deliveries(db: &PgPool, age: Duration, limit: i64) -> Result<u64> {
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

/// Removes up to `limit` schedulers that have been silent for `age`; answers how many.
///
/// # Errors
/// When the database does not do it.
pub async fn schedulers(db: &PgPool, age: Duration, limit: i64) -> Result<u64> {
    let removed = sqlx::query!(
        "DELETE FROM schedulers WHERE id IN (
             SELECT id FROM schedulers WHERE last_seen < now() - make_interval(secs => $1) ORDER BY last_seen LIMIT $2)",
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

/// Removes up to `limit` messages that have left or ended, and were accepted more than `days` days ago, or than their tenant says;
/// answers how many. Looks at the oldest of each account, so that it costs little where there is nothing to do.
///
/// # Errors
/// When the database does not do it.
pub async fn messages(db: &PgPool, days: i32, limit: i64) -> Result<u64> {
    let removed = sqlx::query!(
        "DELETE FROM messages WHERE id IN (
             SELECT m.id
             FROM (SELECT a.tenant_id, a.id, now() - make_interval(days => least(t.messages_kept_days, $1)) AS until
                   FROM accounts a JOIN tenants t ON t.id = a.tenant_id) a
             CROSS JOIN LATERAL (
                 SELECT created_at FROM messages WHERE tenant_id = a.tenant_id AND account_id = a.id ORDER BY seq LIMIT 1) oldest
             CROSS JOIN LATERAL (
                 SELECT id, state, created_at, run_id FROM messages WHERE tenant_id = a.tenant_id AND account_id = a.id
                 ORDER BY seq LIMIT $2) m
             WHERE oldest.created_at < a.until AND m.created_at < a.until AND m.state <> 'queued'
               -- a run that rests may be resumed, and counts its texts
               AND NOT EXISTS (SELECT FROM runs r WHERE r.id = m.run_id AND r.finished_at IS NULL)
             LIMIT $2)",
        days,
        limit
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected())
}

/// Removes up to `limit` entries of the audit trail that are older than `days` days, or than their tenant says; answers how many.
///
/// # Errors
/// When the database does not do it.
pub async fn audit(db: &PgPool, days: i32, limit: i64) -> Result<u64> {
    let removed = sqlx::query!(
        "DELETE FROM audit WHERE id IN (
             (SELECT id FROM audit WHERE created_at < now() - make_interval(days => $1) ORDER BY created_at LIMIT $2)
             UNION ALL
             (SELECT e.id FROM tenants t CROSS JOIN LATERAL (
                  SELECT id FROM audit WHERE tenant_id = t.id AND created_at < now() - make_interval(days => t.audit_kept_days)
                  LIMIT $2) e
              WHERE t.audit_kept_days < $1 LIMIT $2))",
        days,
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
pub async fn old_secrets(db: &PgPool, limit: i64) -> Result<u64> {
    let erased = sqlx::query!(
        "UPDATE webhooks SET previous_secret = NULL, previous_secret_until = NULL WHERE id IN (
             SELECT id FROM webhooks WHERE previous_secret_until < now() LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit
    )
    .execute(db)
    .await?;
    Ok(erased.rows_affected())
}
