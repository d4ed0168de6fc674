//! Queued messages that will not be sent, because they were accepted for a phone that is gone. A message is sent from
//! the phone that it was accepted for, or not at all.
//!
//! An account may have many queued messages. A request cancels a first part, and the scheduler's duty the rest. The
//! rest is not sent meanwhile, since the outbox leaves it out.

use sqlx::PgConnection;
use uuid::Uuid;

use super::call_back::{Message, call_back};
use crate::error::Result;
use crate::reminders::pausing::lift;
use crate::runs::supersede;
use crate::scope::ForAllTenants;
use domain::committed::Committed;
use domain::id::{AccountId, TenantId};

/// The reason when the account is unpaired.
pub(crate) const UNPAIRED: &str = "the account was unpaired";
/// The reason when the account is logged out on request.
pub(crate) const LOGGED_OUT: &str = "the account was logged out";
/// The reason when the account is deleted.
pub(crate) const DELETED: &str = "the account was deleted";
/// The reason when another phone is linked.
pub(crate) const ANOTHER_PHONE: &str = "the account was paired with another phone";
/// The highest number of messages that a request cancels.
const AT_ONCE: i64 = 1_000;

/// Ends the runs `open` of one account, which the caller has locked with their reminders, and cancels other queued
/// messages. With a number in `but_of`, only messages for other phones are canceled. Reminders that were paused because
/// of these runs are resumed.
///
/// # Errors
/// If the database fails.
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

/// Locks the unfinished runs of an account with texts for another phone than `number`, and their reminders. They are
/// locked before the lease, as everywhere.
///
/// # Errors
/// If the database fails.
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

/// Cancels the queued messages that remain for unpaired or deleted accounts, and for phones that were replaced: those
/// beyond the limit of a request, those accepted at the same time, and those that a worker of the previous release
/// left. Returns their tenants.
///
/// # Errors
/// If the database fails.
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
