//! Ends unfinished runs whose reminder is edited or deleted. What was sent stays recorded as sent. Events and
//! notifications are written.

use sqlx::PgConnection;
use uuid::Uuid;

use super::ends::ended;
use super::targets::{chats, tallies};
use crate::error::Result;
use crate::events::Events;
use crate::messages::call_back::{Message, call_back};
use crate::notifications::notices::{About, Notices};
use domain::event::{self, RunChanged};
use domain::id::{AccountId, ReminderId, RunId, TenantId};
use domain::run::machine::{self, Event};
use domain::run::notice::Chats;
use domain::run::{Status, TargetState, notice};

/// What to do about a run that another transaction has locked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Locked {
    /// Wait for the lock.
    Wait,
    /// Skip the run.
    Skip,
}

/// Ends all unfinished runs of a reminder that is being edited or deleted, within the caller's transaction.
///
/// # Errors
/// If the database fails.
pub(crate) async fn cancel_open(
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
    end(transaction, tenant, &open, reason).await
}

/// Ends unfinished runs that the caller has locked. Queued messages are never sent. Messages that were handed over
/// count as sent until a result says otherwise.
///
/// # Errors
/// If the database fails.
pub(crate) async fn end(transaction: &mut PgConnection, tenant: TenantId, runs: &[Uuid], reason: &str) -> Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    cancel_messages(transaction, tenant, runs, reason).await?;
    finish_targets(transaction, tenant, runs, reason, TargetState::Failed).await?;
    finish_runs(transaction, tenant, runs, reason).await
}

/// Cancels queued messages that were not handed over.
///
/// # Errors
/// If the database fails.
pub(super) async fn cancel_messages(
    transaction: &mut PgConnection,
    tenant: TenantId,
    runs: &[Uuid],
    reason: &str,
) -> Result<()> {
    let queued = sqlx::query_scalar!(
        "SELECT id FROM messages WHERE tenant_id = $1 AND run_id = ANY($2) AND state = 'queued' AND handed_at IS NULL
         ORDER BY seq FOR UPDATE",
        tenant.0,
        runs
    )
    .fetch_all(&mut *transaction)
    .await?;
    call_back(transaction, &Message::all(queued, reason)).await?;
    Ok(())
}

/// Ends the pending targets of these runs. If all texts of a target were sent, it becomes `sent`. If only some were, it
/// becomes `part`, and its reason says how many.
///
/// # Errors
/// If the database fails.
pub(super) async fn finish_targets(
    transaction: &mut PgConnection,
    tenant: TenantId,
    runs: &[Uuid],
    reason: &str,
    part: TargetState,
) -> Result<()> {
    sqlx::query!(
        "UPDATE run_targets t SET finished_at = now(),
             state = CASE WHEN d.sent > 0 AND d.sent = d.total THEN 'sent'
                          WHEN d.reason IS NOT NULL THEN 'failed'
                          WHEN d.sent > 0 THEN $4 ELSE 'skipped' END,
             reason = CASE WHEN d.sent > 0 AND d.sent = d.total THEN NULL ELSE coalesce(d.reason, $3)
                 || CASE WHEN d.sent > 0 THEN format(' (%s of %s texts had left)', d.sent, d.total) ELSE '' END END
         FROM (SELECT p.run_id, p.position, count(m.id) AS total,
                      count(*) FILTER (WHERE m.state IN ('sent', 'delivered', 'read')
                                       OR (m.state = 'queued' AND m.handed_at IS NOT NULL)) AS sent,
                      min(m.reason) FILTER (WHERE m.state = 'failed') AS reason
               FROM run_targets p LEFT JOIN messages m ON m.run_id = p.run_id AND m.run_position = p.position
               WHERE p.run_id = ANY($2) AND p.state = 'pending'
               GROUP BY p.run_id, p.position) d
         WHERE t.tenant_id = $1 AND t.run_id = d.run_id AND t.position = d.position AND t.state = 'pending'",
        tenant.0,
        runs,
        reason,
        part.as_str()
    )
    .execute(transaction)
    .await?;
    Ok(())
}

async fn finish_runs(transaction: &mut PgConnection, tenant: TenantId, runs: &[Uuid], reason: &str) -> Result<()> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: RunId", reminder_id AS "reminder: ReminderId", account_id AS "account: AccountId",
                  reminder_name AS name, status AS "status: Status", EXISTS (
                      SELECT FROM messages m WHERE m.run_id = r.id AND (m.state IN ('sent', 'delivered', 'read')
                          OR (m.state = 'queued' AND m.handed_at IS NOT NULL))) AS "left!"
           FROM runs r WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id"#,
        tenant.0,
        runs
    )
    .fetch_all(&mut *transaction)
    .await?;
    let tallies = tallies(transaction, runs).await?;
    let chats = chats(transaction, runs).await?;
    let (mut events, mut notices) = (Events::default(), Notices::default());
    let (mut ids, mut ends, mut summaries) = (Vec::new(), Vec::new(), Vec::new());
    for run in rows {
        let tally = tallies.get(&run.id).copied().unwrap_or_default();
        let event = Event::Superseded { tally, left: run.left };
        let Some(step) = machine::decide(run.status, event, false) else { continue };
        let summary = match step.status {
            Status::Success => tally.summary(), // nothing had to be canceled
            _ => format!("{}: {reason}", tally.summary()),
        };
        let changed = RunChanged::of(run.id, run.reminder, step.status, summary.clone(), tally);
        events.push(tenant, run.account, &event::Event::RunChanged(changed));
        let chats = chats.get(&run.id).copied().unwrap_or(Chats::Mixed);
        if let Some((kind, body)) = notice::ended(step.status, tally, chats) {
            let about = About { tenant, reminder: run.reminder, name: &run.name, run: Some(run.id) };
            notices.push(about, kind, body);
        }
        ids.push(run.id.0);
        ends.push(step.status);
        summaries.push(summary);
    }
    let statuses: Vec<String> = ends.iter().map(|status| status.as_str().to_owned()).collect();
    sqlx::query!(
        "UPDATE runs r SET finished_at = now(), status = n.status, summary = n.summary
         FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n (id, status, summary)
         WHERE r.tenant_id = $1 AND r.id = n.id",
        tenant.0,
        &ids,
        &statuses,
        &summaries
    )
    .execute(&mut *transaction)
    .await?;
    events.write(&mut *transaction).await?;
    notices.write(transaction).await?;
    ended(ends); // only the caller's commit is still missing
    Ok(())
}
