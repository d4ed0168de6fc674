//! Removes old messages that were sent or have ended.

use crate::error::Result;
use crate::scope::ForAllTenants;

/// Removes up to `limit` messages that were sent or have ended, and were accepted more than `days` days ago, or longer
/// ago than their tenant keeps them. Returns how many. It looks at the oldest message of each account first, so that it
/// costs little if nothing is to do.
///
/// # Errors
/// If the database fails.
pub async fn prune(all: ForAllTenants<'_>, days: i32, limit: i64) -> Result<u64> {
    let ForAllTenants { pool: db } = all;
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
