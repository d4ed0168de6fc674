//! What is queued and will not be sent, because it was accepted for a phone that is gone: a message goes out from the phone that
//! it was accepted for, or not at all.
//!
//! What an account has queued may be much, so that a request ends a first part of it and the scheduler's duty the rest. Nothing
//! of the rest goes out meanwhile: the outbox does not show it.

use sqlx::PgConnection;
use uuid::Uuid;

use super::call_back::{Message, call_back};
use crate::error::Result;
use crate::reminders::pausing::lift;
use crate::runs::supersede;
use crate::scope::ForAllTenants;
use domain::committed::Committed;
use domain::id::{AccountId, TenantId};

/// Why messages end when an account is unpaired.
pub(crate) const UNPAIRED: &str = "the account was unpaired";
/// Why they end when its device is logged out on request.
pub(crate) const LOGGED_OUT: &str = "the account was logged out";
/// Why they end when it is deleted.
pub(crate) const DELETED: &str = "the account was deleted";
/// Why they end when another phone is linked.
pub(crate) const ANOTHER_PHONE: &str = "the account was paired with another phone";
/// Messages that a request calls back.
const AT_ONCE: i64 = 1_000;

/// Ends runs of one account that the caller has locked with their reminders, and calls back what else it has queued; with a
/// number only what was accepted for another. Reminders that rested for one of these runs go on.
///
/// # Errors
/// When the database does not do it.
pub(crate) async fn end(
    transaction: &mut PgConnection,
    (tenant, account): (TenantId, AccountId),
    open: &[Uuid],
    but_of: Option<&str>,
    reason: &str,
) -> Result<()> {
    supersede::end(transaction, tenant, open, reason).await?;
    let reminders: Vec<Uuid> = sqlx::query_scalar!(
        r#"SELECT DISTINCT reminder_id AS "id!" FROM runs WHERE id = ANY($1) AND reminder_id IS NOT NULL"#,
        open
    )
    .fetch_all(&mut *transaction)
    .await?;
    lift(transaction, &reminders).await?;
    let queued = sqlx::query_scalar!(
        "SELECT id FROM messages
         WHERE tenant_id = $1 AND account_id = $2 AND state = 'queued' AND ($3::text IS NULL OR sender <> $3)
         ORDER BY seq LIMIT $4 FOR UPDATE",
        tenant.0,
        account.0,
        but_of,
        AT_ONCE
    )
    .fetch_all(&mut *transaction)
    .await?;
    call_back(transaction, &Message::all(queued, reason)).await?;
    Ok(())
}

/// Locks the runs of an account that are under way or rest with texts for another phone than this, and their reminders: before
/// the lease, as everywhere.
///
/// # Errors
/// When the database does not do it.
pub(crate) async fn lock_of_other_phones(
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

/// Calls back what is left of accounts that were unpaired or deleted, and of phones that another one has replaced: what a
/// request left over, what was accepted beside it, what a worker of the release before let lie. Answers whose it was.
///
/// # Errors
/// When the database does not do it.
pub async fn call_back_left(all: ForAllTenants<'_>, limit: i64) -> Result<Committed<Vec<TenantId>>> {
    let ForAllTenants { pool: db } = all;
    let mut transaction = db.begin().await?;
    let left = sqlx::query_as!(
        Message,
        r#"
        SELECT m.id, CASE WHEN a.wanted = 'erased' THEN $2 WHEN a.status = 'unpaired' THEN $3 ELSE $4 END AS "reason!"
        FROM accounts a JOIN messages m ON m.account_id = a.id
        WHERE m.state = 'queued'
          AND (a.status = 'unpaired' OR a.wanted = 'erased' OR (a.status = 'connected' AND m.sender <> a.phone_number))
        ORDER BY m.seq LIMIT $1 FOR UPDATE OF m SKIP LOCKED
        "#,
        limit,
        DELETED,
        UNPAIRED,
        ANOTHER_PHONE
    )
    .fetch_all(&mut *transaction)
    .await?;
    let tenants = call_back(&mut transaction, &left).await?;
    transaction.commit().await?;
    Ok(Committed::news_of(tenants))
}
