//! What people decide about runs: go on with one that rests (R48), leave it at that (R49), clear the history (R47).

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::account;
use crate::id::{AccountId, ReminderId, RunId, TenantId};
use crate::reminder::window;
use crate::run::machine::{self, Event};
use crate::run::{Status, Tally, TargetState};
use crate::store::due::{self, Events, RUN_CHANGED};
use crate::store::{Db, Error, Result, messages};

/// Why a target of a canceled run was not sent.
const BY_OPERATOR: &str = "canceled by operator";
/// Runs that one statement removes.
const BATCH: i64 = 1_000;

/// A run that goes on: ring for the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumed {
    /// Who sends.
    pub account: AccountId,
    /// It was going on already: nothing was changed.
    pub under_way: bool,
}

struct Run {
    reminder: Option<ReminderId>,
    account: Option<AccountId>,
    status: Status,
    resumed_at: Option<DateTime<Utc>>,
}

async fn lock(transaction: &mut PgConnection, tenant: TenantId, run: RunId) -> Result<Run> {
    let found = sqlx::query_as!(
        Run,
        r#"SELECT reminder_id AS "reminder: ReminderId", account_id AS "account: AccountId", status AS "status: Status",
                  resumed_at
           FROM runs WHERE tenant_id = $1 AND id = $2 FOR UPDATE"#,
        tenant.0,
        run.0
    )
    .fetch_optional(transaction)
    .await?;
    found.ok_or(Error::NotFound)
}

/// Goes on with a paused run (R48): what was not sent of its pending targets is queued again, in the rows and under the
/// WhatsApp ids that it had, so that nothing is sent twice whoever crashes. The delivery window is that of today. Allowed
/// while the reminder is paused; asked for twice, it goes on once.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such run; [`Error::Conflict`] when it is not paused, its reminder or its
/// account is gone, or the delivery window is closed right now; [`Error::NotConnected`] when its account's phone is gone.
pub async fn resume(db: impl Into<Db<'_>>, tenant: TenantId, run: RunId) -> Result<Resumed> {
    let mut db = db.into().acquire().await?;
    let mut transaction = db.begin().await?;
    let found = lock(&mut transaction, tenant, run).await?;
    let Some(step) = machine::decide(found.status, Event::Resumed, false) else {
        return match (found.account, found.resumed_at, found.status) {
            (Some(account), Some(_), Status::Running) => Ok(Resumed { account, under_way: true }),
            _ => Err(Error::Conflict(format!("the run is {}: only a paused run can be resumed", found.status))),
        };
    };
    let (account, expires_at) = sender(&mut transaction, tenant, &found).await?;
    sqlx::query!(
        "WITH q AS (
             SELECT m.id FROM messages m JOIN run_targets t ON t.run_id = m.run_id AND t.position = m.run_position
             WHERE m.tenant_id = $1 AND m.run_id = $2 AND m.state = 'expired' AND t.state = 'pending'
             ORDER BY m.seq FOR UPDATE OF m)
         UPDATE messages m SET state = 'queued', reason = NULL, failed_at = NULL, expires_at = $3
         FROM q WHERE m.id = q.id AND m.state = 'expired'",
        tenant.0,
        run.0,
        expires_at
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "UPDATE runs SET status = $2, summary = NULL, resumed_at = now() WHERE id = $1",
        run.0,
        step.status.as_str()
    )
    .execute(&mut *transaction)
    .await?;
    tell(&mut transaction, (tenant, run), &found, step.status, "resumed").await?;
    transaction.commit().await?;
    Ok(Resumed { account, under_way: false })
}

/// Who sends a resumed run, and until when.
async fn sender(
    transaction: &mut PgConnection,
    tenant: TenantId,
    run: &Run,
) -> Result<(AccountId, Option<DateTime<Utc>>)> {
    let reminder = sqlx::query!(
        r#"SELECT timezone, window_end, now() AS "now!" FROM reminders WHERE tenant_id = $1 AND id = $2 FOR SHARE"#,
        tenant.0,
        run.reminder.map(|reminder| reminder.0)
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or_else(|| Error::Conflict("its reminder was deleted: the run can only be canceled".to_owned()))?;
    let status = sqlx::query_scalar!(
        r#"SELECT status AS "status: account::Status" FROM accounts
           WHERE tenant_id = $1 AND id = $2 AND wanted <> 'erased' FOR SHARE"#,
        tenant.0,
        run.account.map(|account| account.0)
    )
    .fetch_optional(transaction)
    .await?;
    let (Some(account), Some(status)) = (run.account, status) else {
        return Err(Error::Conflict("its account was deleted: the run can only be canceled".to_owned()));
    };
    if due::unable(status).is_some() {
        return Err(Error::NotConnected(messages::NOT_CONNECTED));
    }
    let tz: Tz = reminder.timezone.parse().unwrap_or(Tz::UTC);
    let end = reminder.window_end.and_then(|end| u8::try_from(end).ok());
    if !window::is_open(end, tz, reminder.now, reminder.now) {
        let zone = reminder.timezone;
        return Err(Error::Conflict(format!("the delivery window is closed until midnight in {zone}")));
    }
    Ok((account, end.map(|end| window::closes_at(end, tz, reminder.now))))
}

/// Leaves a paused run at what was sent (R49): its pending targets are skipped, it ends `partial`, and its reminder goes on,
/// or has ended if nothing lies ahead.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such run; [`Error::Conflict`] when it is not paused.
pub async fn cancel(db: impl Into<Db<'_>>, tenant: TenantId, run: RunId) -> Result<()> {
    let mut db = db.into().acquire().await?;
    let mut transaction = db.begin().await?;
    let found = lock(&mut transaction, tenant, run).await?;
    let Some(step) = machine::decide(found.status, Event::Canceled, false) else {
        return Err(Error::Conflict(format!("the run is {}: only a paused run can be canceled", found.status)));
    };
    // acknowledged after the run had paused: it was sent
    sqlx::query!(
        "UPDATE run_targets t SET state = 'sent', finished_at = now()
         WHERE t.tenant_id = $1 AND t.run_id = $2 AND t.state = 'pending'
           AND EXISTS (SELECT FROM messages m WHERE m.run_id = t.run_id AND m.run_position = t.position)
           AND NOT EXISTS (SELECT FROM messages m WHERE m.run_id = t.run_id AND m.run_position = t.position
                           AND m.state NOT IN ('sent', 'delivered', 'read'))",
        tenant.0,
        run.0
    )
    .execute(&mut *transaction)
    .await?;
    let skipped = sqlx::query!(
        "UPDATE run_targets SET state = 'skipped', reason = $3, finished_at = now()
         WHERE tenant_id = $1 AND run_id = $2 AND state = 'pending'",
        tenant.0,
        run.0,
        BY_OPERATOR
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    let states = sqlx::query_scalar!(
        r#"SELECT state AS "state: TargetState" FROM run_targets WHERE tenant_id = $1 AND run_id = $2"#,
        tenant.0,
        run.0
    )
    .fetch_all(&mut *transaction)
    .await?;
    let tally = Tally::of(states);
    let failed = if tally.failed > 0 { format!(", {} failed", tally.failed) } else { String::new() };
    let summary = format!("{} of {} sent{failed}, {skipped} {BY_OPERATOR}", tally.sent, tally.total());
    sqlx::query!(
        "UPDATE runs SET status = $2, summary = $3, finished_at = now() WHERE id = $1",
        run.0,
        step.status.as_str(),
        summary
    )
    .execute(&mut *transaction)
    .await?;
    tell(&mut transaction, (tenant, run), &found, step.status, &summary).await?;
    let reminders: Vec<_> = found.reminder.iter().map(|reminder| reminder.0).collect();
    due::lift(&mut transaction, &reminders).await?;
    transaction.commit().await?;
    due::ended([step.status]);
    Ok(())
}

async fn tell(
    transaction: &mut PgConnection,
    (tenant, run): (TenantId, RunId),
    found: &Run,
    status: Status,
    summary: &str,
) -> Result<()> {
    let data = serde_json::json!({"run_id": run, "reminder_id": found.reminder, "status": status, "summary": summary});
    let mut events = Events::default();
    events.push(tenant, found.account, RUN_CHANGED, data);
    events.write(transaction).await
}

/// Clears the history (R47): removes every run of the tenant that is over, and those whose reminder is gone. Runs that are
/// not over stay: they are work, not history. Answers how many were removed.
///
/// # Errors
/// When the database does not do it; a part may be removed then.
pub async fn clear(db: &PgPool, tenant: TenantId) -> Result<u64> {
    let mut cleared = 0;
    loop {
        let removed = sqlx::query!(
            "DELETE FROM runs WHERE id IN (
                 SELECT id FROM runs WHERE tenant_id = $1 AND (finished_at IS NOT NULL OR reminder_id IS NULL)
                 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)",
            tenant.0,
            BATCH
        );
        let removed = removed.execute(db).await?.rows_affected();
        cleared += removed;
        if removed < BATCH.unsigned_abs() {
            return Ok(cleared);
        }
    }
}
