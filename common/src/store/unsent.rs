//! What is queued and will not be sent, because it was accepted for a phone that is gone: a message goes out from the phone that
//! it was accepted for, or not at all (R73).
//!
//! What an account has queued may be much, so that a request ends a first part of it and the scheduler's duty the rest. Nothing
//! of the rest goes out meanwhile: no phone is linked, or one for which the outbox does not show it.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Result, due, runs};
use crate::id::{AccountId, TenantId};

/// Why messages end when another phone is linked.
const ANOTHER_PHONE: &str = "the account was paired with another phone";
/// Messages that a request calls back.
const AT_ONCE: i64 = 1_000;

/// Ends runs of one account that the caller has locked with their reminders, and calls back what else it has queued; with a
/// number only what was accepted for another. Reminders that rested for one of these runs go on.
///
/// # Errors
/// When the database does not do it.
pub(super) async fn end(
    transaction: &mut PgConnection,
    (tenant, account): (TenantId, AccountId),
    open: &[Uuid],
    but_of: Option<&str>,
    reason: &str,
) -> Result<()> {
    runs::end(transaction, tenant, open, reason).await?;
    let reminders: Vec<Uuid> = sqlx::query_scalar!(
        r#"SELECT DISTINCT reminder_id AS "id!" FROM runs WHERE id = ANY($1) AND reminder_id IS NOT NULL"#,
        open
    )
    .fetch_all(&mut *transaction)
    .await?;
    due::lift(transaction, &reminders).await?;
    sqlx::query!(
        "WITH q AS (
             SELECT id FROM messages
             WHERE tenant_id = $1 AND account_id = $2 AND state = 'queued' AND ($3::text IS NULL OR sender <> $3)
             ORDER BY seq LIMIT $5 FOR UPDATE
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
        reason,
        AT_ONCE
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Locks the runs of an account that are under way or rest with texts for another phone than this, and their reminders: before
/// the lease, as everywhere.
///
/// # Errors
/// When the database does not do it.
pub(super) async fn lock_of_other_phones(
    transaction: &mut PgConnection,
    account: AccountId,
    number: &str,
) -> Result<Vec<Uuid>> {
    let open: Vec<Uuid> = sqlx::query_scalar!(
        "SELECT id FROM runs r
         WHERE r.account_id = $1 AND r.finished_at IS NULL AND EXISTS (
             SELECT FROM messages m WHERE m.run_id = r.id AND m.state IN ('queued', 'expired') AND m.sender <> $2)
         ORDER BY id FOR UPDATE",
        account.0,
        number
    )
    .fetch_all(&mut *transaction)
    .await?;
    sqlx::query!(
        "SELECT id FROM reminders WHERE id IN (SELECT reminder_id FROM runs WHERE id = ANY($1)) ORDER BY id FOR UPDATE",
        &open
    )
    .fetch_all(transaction)
    .await?;
    Ok(open)
}

/// Ends what was accepted for another phone than the one that is being linked, within the caller's transaction.
///
/// # Errors
/// When the database does not do it.
pub(super) async fn end_of_other_phones(
    transaction: &mut PgConnection,
    of: (TenantId, AccountId),
    open: &[Uuid],
    number: &str,
) -> Result<()> {
    end(transaction, of, open, Some(number), ANOTHER_PHONE).await
}

/// Calls back what is left of accounts that were unpaired or deleted, and of phones that another one has replaced: what a
/// request left over, what was accepted beside it, what a worker of the release before let lie. Answers whose it was.
///
/// # Errors
/// When the database does not do it.
pub async fn call_back_left(db: &PgPool, limit: i64) -> Result<Vec<TenantId>> {
    let tenants = sqlx::query_scalar!(
        r#"
        WITH q AS (
            SELECT m.id, CASE WHEN a.wanted = 'erased' THEN 'the account was deleted'
                              WHEN a.status = 'unpaired' THEN 'the account was unpaired' ELSE $2 END AS reason
            FROM accounts a JOIN messages m ON m.account_id = a.id
            WHERE m.state = 'queued'
              AND (a.status = 'unpaired' OR a.wanted = 'erased' OR (a.status = 'connected' AND m.sender <> a.phone_number))
            ORDER BY m.seq LIMIT $1 FOR UPDATE OF m SKIP LOCKED
        ), m AS (
            UPDATE messages m SET state = 'canceled', reason = q.reason, failed_at = now()
            FROM q WHERE m.id = q.id AND m.state = 'queued'
            RETURNING m.id, m.tenant_id, m.account_id, m.seq, m.reason, m.trace
        ), told AS (
            INSERT INTO events (tenant_id, account_id, kind, data, trace)
            SELECT tenant_id, account_id, 'message.canceled', jsonb_build_object('account_id', account_id,
                   'message_id', id, 'state', 'canceled', 'reason', reason), trace FROM m ORDER BY seq
        )
        SELECT DISTINCT tenant_id AS "tenant: TenantId" FROM m
        "#,
        limit,
        ANOTHER_PHONE
    )
    .fetch_all(db)
    .await?;
    Ok(tenants)
}
