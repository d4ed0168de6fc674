//! Removes old events.

use std::time::Duration;

use domain::committed::Committed;
use domain::event::Kind;
use domain::id::TenantId;

use crate::error::Result;
use crate::scope::ForAllTenants;

/// Removes up to `limit` events older than `age`. Returns how many, and the tenants with dropped webhook events. A
/// stream that resumes from before a removed event is refused. If an enabled webhook had not taken a removed event yet,
/// the same statement writes an event about the loss.
///
/// # Errors
/// If the database fails.
pub async fn prune(all: ForAllTenants<'_>, age: Duration, limit: i64) -> Result<Committed<(u64, Vec<TenantId>)>> {
    let ForAllTenants { pool: db } = all;
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
    let told = row.told.clone();
    Ok(Committed::new((row.removed.unsigned_abs(), row.told)).signal(told))
}
