//! Corrects finished runs. A message that was canceled or expired on its way, but was acknowledged later, was sent. A
//! message that counted as sent when the run ended, because it had been handed over, but was refused later, was not.

use sqlx::PgPool;
use uuid::Uuid;

use super::targets::tallies;
use crate::error::Result;
use crate::events::Events;
use domain::event::{Event, RunChanged};
use domain::id::{AccountId, ReminderId, RunId, TenantId};
use domain::run::{Status, machine};

/// Which runs are corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Only finished runs. This does not wait for transactions that work on unfinished ones.
    Over,
    /// Running and paused runs as well.
    All,
}

/// Corrects targets of these runs whose texts were all sent after they had been given up, and the finished runs among
/// them. In an unfinished run only failed targets are corrected, since the others are settled later.
///
/// # Errors
/// If the database fails. Then nothing is corrected.
pub(crate) async fn correct(db: &PgPool, runs: &[Uuid], which: Which) -> Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let mut transaction = db.begin().await?;
    let over = sqlx::query!(
        r#"SELECT id AS "id: RunId", tenant_id AS "tenant: TenantId", account_id AS "account: AccountId",
                  reminder_id AS "reminder: ReminderId", status AS "status: Status", coalesce(summary, '') AS "summary!", trace,
                  EXISTS (SELECT FROM messages m WHERE m.run_id = r.id AND m.state IN ('sent', 'delivered', 'read')) AS "left!"
           FROM runs r WHERE id = ANY($1) AND (status IN ('success', 'canceled', 'partial', 'failed') OR ($2 AND status IN ('running', 'paused')))
           ORDER BY id FOR NO KEY UPDATE"#,
        runs,
        which == Which::All
    )
    .fetch_all(&mut *transaction)
    .await?;
    let corrected = sqlx::query_scalar!(
        r#"UPDATE run_targets t SET state = 'sent', reason = NULL, finished_at = coalesce(t.finished_at, now())
           WHERE t.run_id = ANY($1) AND (t.state = 'failed' OR (t.state IN ('skipped', 'pending')
                 AND EXISTS (SELECT FROM runs r WHERE r.id = t.run_id AND r.finished_at IS NOT NULL)))
             AND EXISTS (SELECT FROM messages m WHERE m.run_id = t.run_id AND m.run_position = t.position)
             AND NOT EXISTS (SELECT FROM messages m WHERE m.run_id = t.run_id AND m.run_position = t.position
                             AND m.state NOT IN ('sent', 'delivered', 'read'))
           RETURNING run_id AS "run: RunId""#,
        &over.iter().map(|run| run.id.0).collect::<Vec<_>>()
    )
    .fetch_all(&mut *transaction)
    .await?;
    let refused = sqlx::query_scalar!(
        r#"UPDATE run_targets t SET state = 'failed', reason = coalesce(d.reason, 'it was not sent')
           FROM (SELECT run_id, run_position, min(reason) AS reason FROM messages
                 WHERE run_id = ANY($1) AND state IN ('failed', 'expired', 'canceled') GROUP BY run_id, run_position) d
           WHERE t.run_id = d.run_id AND t.position = d.run_position AND t.state = 'sent'
             AND EXISTS (SELECT FROM runs r WHERE r.id = t.run_id AND r.finished_at IS NOT NULL)
           RETURNING t.run_id AS "run: RunId""#,
        &over.iter().map(|run| run.id.0).collect::<Vec<_>>()
    )
    .fetch_all(&mut *transaction)
    .await?;
    let begun = over.iter().filter(|run| run.status == Status::Canceled && run.left).map(|run| run.id);
    let corrected: Vec<RunId> = corrected.into_iter().chain(refused).chain(begun).collect();
    if corrected.is_empty() {
        return Ok(());
    }
    let tallies = tallies(&mut transaction, runs).await?;
    let mut events = Events::default();
    for run in over.iter().filter(|run| corrected.contains(&run.id)) {
        let tally = tallies.get(&run.id).copied().unwrap_or_default();
        let Some(status) = machine::corrected(run.status, tally, run.left) else { continue };
        let why = run.summary.split_once(": ").filter(|_| status != Status::Success); // else nothing to explain
        let summary = format!("{}{}", tally.summary(), why.map(|(_, why)| format!(": {why}")).unwrap_or_default());
        sqlx::query!("UPDATE runs SET status = $2, summary = $3 WHERE id = $1", run.id.0, status.as_str(), summary)
            .execute(&mut *transaction)
            .await?;
        let event = Event::RunChanged(RunChanged::of(run.id, run.reminder, status, summary, tally));
        events.push_of(run.trace.clone(), run.tenant, run.account, &event);
    }
    events.write(&mut transaction).await?;
    transaction.commit().await?;
    Ok(())
}
