//! Runs as a tenant sees them: the history of reminders, which outlives them.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Error, Result};
use crate::id::{AccountId, ReminderId, RunId, TenantId};
use crate::run::{Status, TargetState};

/// One firing of a reminder.
#[derive(Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The reminder; null once that is deleted.
    pub reminder_id: Option<ReminderId>,
    /// The account; null once that is deleted.
    pub account_id: Option<AccountId>,
    /// What the reminder was called.
    pub reminder_name: String,
    /// What the account was called.
    pub account_label: String,
    /// The occurrence, as it was computed.
    pub fire_at: DateTime<Utc>,
    /// The texts as they were.
    pub messages: Vec<String>,
    /// How far it is.
    pub status: Status,
    /// The same in words.
    pub summary: Option<String>,
    /// When it fired.
    pub created_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What became of one target of a run.
#[derive(Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Target {
    /// The chat's address.
    pub chat: String,
    /// How far it is.
    pub state: TargetState,
    /// Why it was not sent, in words for a person.
    pub reason: Option<String>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A page of a reminder's runs, newest first.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such reminder.
pub async fn list(
    db: &PgPool,
    tenant: TenantId,
    reminder: ReminderId,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Run>> {
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM reminders WHERE tenant_id = $1 AND id = $2) AS "known!""#,
        tenant.0,
        reminder.0
    );
    if !known.fetch_one(db).await? {
        return Err(Error::NotFound);
    }
    let (at, id) = before.unzip();
    let runs = sqlx::query_as!(
        Run,
        r#"
        SELECT id AS "id: RunId", reminder_id AS "reminder_id: ReminderId", account_id AS "account_id: AccountId",
            reminder_name, account_label, fire_at, bodies AS messages, status AS "status: Status", summary, created_at,
            finished_at
        FROM runs
        WHERE tenant_id = $1 AND reminder_id = $2 AND ($3::timestamptz IS NULL OR (fire_at, id) < ($3, $4::uuid))
        ORDER BY fire_at DESC, id DESC LIMIT $5
        "#,
        tenant.0,
        reminder.0,
        at,
        id,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(runs)
}

/// One run and its targets in order.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such run.
pub async fn get(db: &PgPool, tenant: TenantId, run: RunId) -> Result<(Run, Vec<Target>)> {
    let found = sqlx::query_as!(
        Run,
        r#"
        SELECT id AS "id: RunId", reminder_id AS "reminder_id: ReminderId", account_id AS "account_id: AccountId",
            reminder_name, account_label, fire_at, bodies AS messages, status AS "status: Status", summary, created_at,
            finished_at
        FROM runs WHERE tenant_id = $1 AND id = $2
        "#,
        tenant.0,
        run.0
    )
    .fetch_optional(db)
    .await?
    .ok_or(Error::NotFound)?;
    let targets = sqlx::query_as!(
        Target,
        r#"
        SELECT chat, state AS "state: TargetState", reason, finished_at
        FROM run_targets WHERE tenant_id = $1 AND run_id = $2 ORDER BY position
        "#,
        tenant.0,
        run.0
    )
    .fetch_all(db)
    .await?;
    Ok((found, targets))
}

/// What to do about a run that someone else holds locked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Locked {
    /// Wait until it is let go.
    Wait,
    /// Leave it alone.
    Skip,
}

/// Ends every unfinished run of a reminder that is being edited or deleted (R44), within the caller's transaction: what was
/// not sent is never sent, and what was stays on record.
///
/// # Errors
/// When the database does not do it.
pub(super) async fn cancel_open(
    transaction: &mut PgConnection,
    tenant: TenantId,
    reminder: ReminderId,
    locked: Locked,
    reason: &str,
) -> Result<()> {
    let open = match locked {
        Locked::Wait => {
            let open = sqlx::query_scalar!(
                "SELECT id FROM runs WHERE tenant_id = $1 AND reminder_id = $2 AND finished_at IS NULL ORDER BY id
                 FOR NO KEY UPDATE",
                tenant.0,
                reminder.0
            );
            open.fetch_all(&mut *transaction).await?
        }
        Locked::Skip => {
            let open = sqlx::query_scalar!(
                "SELECT id FROM runs WHERE tenant_id = $1 AND reminder_id = $2 AND finished_at IS NULL ORDER BY id
                 FOR NO KEY UPDATE SKIP LOCKED",
                tenant.0,
                reminder.0
            );
            open.fetch_all(&mut *transaction).await?
        }
    };
    if open.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE messages SET state = 'canceled', reason = $3, failed_at = now()
         WHERE tenant_id = $1 AND run_id = ANY($2) AND state = 'queued'",
        tenant.0,
        &open,
        reason
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "UPDATE run_targets SET state = 'skipped', reason = $3, finished_at = now()
         WHERE tenant_id = $1 AND run_id = ANY($2) AND state = 'pending'",
        tenant.0,
        &open,
        reason
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "UPDATE runs r SET finished_at = now(), summary = $3, status = CASE WHEN EXISTS (
             SELECT FROM run_targets t WHERE t.run_id = r.id AND t.state = 'sent') THEN 'partial' ELSE 'canceled' END
         WHERE r.tenant_id = $1 AND r.id = ANY($2)",
        tenant.0,
        &open,
        reason
    )
    .execute(transaction)
    .await?;
    Ok(())
}
