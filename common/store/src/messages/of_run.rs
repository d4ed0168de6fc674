//! Turns the texts of a run into messages.

use chrono::{DateTime, Utc};
use domain::id::{AccountId, RunId, TenantId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Result;

/// The new fields of the messages. The slices have one element for every text of every pending target, in order.
pub(crate) struct Queued<'a> {
    pub(crate) ids: &'a [Uuid],
    pub(crate) whatsapp_ids: &'a [String],
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) trace: Option<String>,
}

/// Queues all texts for the first pending target, then for the next, within the caller's transaction.
///
/// # Errors
/// If the database fails.
pub(crate) async fn queue(
    transaction: &mut PgConnection,
    (tenant, account): (TenantId, AccountId),
    run: RunId,
    queued: Queued<'_>,
) -> Result<()> {
    // the texts are joined in the database: for all targets, they may be a thousand times the size of the reminder
    sqlx::query!(
        "INSERT INTO messages (id, tenant_id, account_id, run_id, run_position, chat, body, whatsapp_id, expires_at, trace, sender)
         SELECT k.id, $1, $2, $3, m.position, m.chat, m.body, k.whatsapp_id, $4, $7, (SELECT phone_number FROM accounts WHERE id = $2)
         FROM (SELECT t.position, t.chat, b.body, row_number() OVER (ORDER BY t.position, b.place) AS place
               FROM runs r CROSS JOIN unnest(r.bodies) WITH ORDINALITY AS b (body, place)
                    JOIN run_targets t ON t.tenant_id = r.tenant_id AND t.run_id = r.id AND t.state = 'pending'
               WHERE r.tenant_id = $1 AND r.id = $3) m
         JOIN unnest($5::uuid[], $6::text[]) WITH ORDINALITY AS k (id, whatsapp_id, place) ON k.place = m.place
         ORDER BY m.place",
        tenant.0,
        account.0,
        run.0,
        queued.expires_at,
        queued.ids,
        queued.whatsapp_ids,
        queued.trace
    )
    .execute(transaction)
    .await?;
    Ok(())
}
