//! What is queued and will not be sent, because it was accepted for a phone that is gone: a message goes out from the phone that
//! it was accepted for, or not at all (R73).

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Error, Fence, Result, again, runs};
use crate::id::{AccountId, TenantId};

/// Why messages end when another phone is linked.
const ANOTHER_PHONE: &str = "the account was paired with another phone";

/// Calls back what an account has queued, within the caller's transaction; with a number only what was accepted for another.
/// The caller has ended the runs that it belongs to.
///
/// # Errors
/// When the database does not do it.
pub(super) async fn call_back(
    transaction: &mut PgConnection,
    tenant: TenantId,
    account: AccountId,
    but_of: Option<&str>,
    reason: &str,
) -> Result<()> {
    sqlx::query!(
        "WITH q AS (
             SELECT id FROM messages
             WHERE tenant_id = $1 AND account_id = $2 AND state = 'queued' AND ($3::text IS NULL OR sender <> $3)
             ORDER BY seq FOR UPDATE
         ), m AS (
             UPDATE messages m SET state = 'canceled', reason = $4, failed_at = now()
             FROM q WHERE m.id = q.id AND m.state = 'queued'
             RETURNING m.id, m.tenant_id, m.account_id, m.seq, m.trace)
         INSERT INTO events (tenant_id, account_id, kind, data, trace)
         SELECT tenant_id, account_id, 'message.canceled', jsonb_build_object('account_id', account_id,
                'message_id', id, 'state', 'canceled', 'reason', $4::text), trace FROM m ORDER BY seq",
        tenant.0,
        account.0,
        but_of,
        reason
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Ends what was accepted for another phone than the one that is being linked: runs that are under way and rest, and single
/// messages. To be called before anything can be sent from it.
///
/// # Errors
/// `Fenced` under an old epoch; else when the database fails.
pub(super) async fn end_of_other_phones(db: &PgPool, fence: Fence, number: &str) -> Result<()> {
    again(|| try_end_of_other_phones(db, fence, number)).await
}

async fn try_end_of_other_phones(db: &PgPool, fence: Fence, number: &str) -> Result<()> {
    let mut transaction = db.begin().await?;
    // runs before the lease, as everywhere
    let open: Vec<Uuid> = sqlx::query_scalar!(
        "SELECT id FROM runs r
         WHERE r.account_id = $1 AND r.finished_at IS NULL AND EXISTS (
             SELECT FROM messages m WHERE m.run_id = r.id AND m.state IN ('queued', 'expired') AND m.sender <> $2)
         ORDER BY id FOR UPDATE",
        fence.account.0,
        number
    )
    .fetch_all(&mut *transaction)
    .await?;
    let tenant = sqlx::query_scalar!(
        r#"SELECT a.tenant_id AS "tenant: TenantId" FROM leases l JOIN accounts a ON a.id = l.account_id
           WHERE l.account_id = $1 AND l.epoch = $2 FOR SHARE OF l"#,
        fence.account.0,
        fence.epoch
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Error::Fenced)?;
    runs::end(&mut transaction, tenant, &open, ANOTHER_PHONE).await?;
    call_back(&mut transaction, tenant, fence.account, Some(number), ANOTHER_PHONE).await?;
    transaction.commit().await?;
    Ok(())
}
