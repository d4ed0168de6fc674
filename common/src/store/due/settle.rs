//! Settling runs: targets take their state from their messages, and a run its own from its targets (R45, R46).

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Events, REMINDER_PAUSED, RUN_CHANGED};
use crate::id::{AccountId, ReminderId, RunId, TenantId};
use crate::run::{Status, Tally, TargetState, target_state};
use crate::store::Result;

/// A run that is over now, or rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Which.
    pub run: RunId,
    /// Whose: signal it.
    pub tenant: TenantId,
    /// How it ended.
    pub status: Status,
}

struct Run {
    id: RunId,
    tenant: TenantId,
    account: Option<AccountId>,
    reminder: Option<ReminderId>,
}

/// One pending target and what became of its messages.
struct Target {
    run: RunId,
    position: i32,
    queued: i64,
    sent: i64,
    failed: i64,
    expired: i64,
    reason: Option<String>,
}

/// Running runs of all tenants in which a target's messages have all left the outbox: there is something to settle.
///
/// # Errors
/// When the database does not answer.
pub async fn unsettled_runs(db: &PgPool, limit: i64) -> Result<Vec<RunId>> {
    let runs = sqlx::query_scalar!(
        r#"
        SELECT r.id AS "id: RunId" FROM runs r
        WHERE r.status = 'running' AND EXISTS (
            SELECT 1 FROM run_targets t
            WHERE t.run_id = r.id AND t.state = 'pending' AND NOT EXISTS (
                SELECT 1 FROM messages m
                WHERE m.run_id = t.run_id AND m.run_position = t.position AND m.state = 'queued'))
        ORDER BY r.created_at LIMIT $1
        "#,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(runs)
}

/// Settles what can be settled of these runs, in one transaction; answers those that changed their status. Idempotent; a run
/// that somebody else settles at the same time is left to them.
///
/// A target none of whose messages was sent before the delivery window closed stays pending: the run is then `paused` if
/// something was sent, else `failed`, and its reminder rests.
///
/// # Errors
/// When the database does not do it; nothing is settled then.
pub async fn settle_runs(db: &PgPool, runs: &[RunId]) -> Result<Vec<Settled>> {
    let mut transaction = db.begin().await?;
    let runs = lock_runs(&mut transaction, runs).await?;
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = runs.iter().map(|run| run.id.0).collect();
    let targets = pending_targets(&mut transaction, &ids).await?;
    finish_targets(&mut transaction, &targets).await?;
    let tallies = tallies(&mut transaction, &ids).await?;
    let mut events = Events::default();
    let mut settled = Vec::new();
    for run in &runs {
        let tally = tallies.get(&run.id).copied().unwrap_or_default();
        let closed = targets.iter().any(|target| target.run == run.id && target.shut_out());
        let waiting = targets.iter().any(|target| target.run == run.id && target.queued > 0);
        let status = match (waiting, closed) {
            (true, _) => Status::Running,
            (false, true) => tally.status_when_window_closes(),
            (false, false) => tally.status(),
        };
        if status != Status::Running {
            finish_run(&mut transaction, run, status, tally, &mut events).await?;
            if closed {
                pause_reminder(&mut transaction, run, &mut events).await?;
            }
            settled.push(Settled { run: run.id, tenant: run.tenant, status });
        }
    }
    events.write(&mut transaction).await?;
    transaction.commit().await?;
    Ok(settled)
}

impl Target {
    /// The window closed before anything was sent.
    fn shut_out(&self) -> bool {
        self.expired > 0 && self.queued + self.sent + self.failed == 0
    }

    fn state(&self) -> TargetState {
        if self.shut_out() {
            TargetState::Pending
        } else {
            target_state(self.queued, self.sent, self.failed + self.expired)
        }
    }
}

async fn lock_runs(transaction: &mut PgConnection, runs: &[RunId]) -> Result<Vec<Run>> {
    let ids: Vec<Uuid> = runs.iter().map(|run| run.0).collect();
    let runs = sqlx::query_as!(
        Run,
        r#"
        SELECT id AS "id: RunId", tenant_id AS "tenant: TenantId", account_id AS "account: AccountId",
               reminder_id AS "reminder: ReminderId"
        FROM runs WHERE id = ANY($1) AND status = 'running' ORDER BY id FOR UPDATE SKIP LOCKED
        "#,
        &ids
    )
    .fetch_all(transaction)
    .await?;
    Ok(runs)
}

async fn pending_targets(transaction: &mut PgConnection, runs: &[Uuid]) -> Result<Vec<Target>> {
    let targets = sqlx::query_as!(
        Target,
        r#"
        SELECT t.run_id AS "run: RunId", t.position,
               count(*) FILTER (WHERE m.state = 'queued') AS "queued!",
               count(*) FILTER (WHERE m.state IN ('sent', 'delivered', 'read')) AS "sent!",
               count(*) FILTER (WHERE m.state IN ('failed', 'canceled')) AS "failed!",
               count(*) FILTER (WHERE m.state = 'expired') AS "expired!",
               coalesce(min(m.reason) FILTER (WHERE m.state IN ('failed', 'canceled')),
                        CASE WHEN count(m.id) = 0 THEN 'its messages were removed'
                             WHEN bool_or(m.state = 'expired') THEN 'the delivery window closed' END) AS reason
        FROM run_targets t LEFT JOIN messages m ON m.run_id = t.run_id AND m.run_position = t.position
        WHERE t.run_id = ANY($1) AND t.state = 'pending'
        GROUP BY t.run_id, t.position
        "#,
        runs
    )
    .fetch_all(transaction)
    .await?;
    Ok(targets)
}

async fn finish_targets(transaction: &mut PgConnection, targets: &[Target]) -> Result<()> {
    let finished: Vec<_> = targets.iter().filter(|target| target.state() != TargetState::Pending).collect();
    let runs: Vec<Uuid> = finished.iter().map(|target| target.run.0).collect();
    let positions: Vec<i32> = finished.iter().map(|target| target.position).collect();
    let states: Vec<String> = finished.iter().map(|target| target.state().as_str().to_owned()).collect();
    let reasons: Vec<Option<String>> = finished.iter().map(|target| target.reason.clone()).collect();
    sqlx::query!(
        "UPDATE run_targets t SET state = f.state, reason = f.reason, finished_at = now()
         FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[]) AS f (run_id, position, state, reason)
         WHERE t.run_id = f.run_id AND t.position = f.position AND t.state = 'pending'",
        &runs,
        &positions,
        &states,
        &reasons as &[Option<String>]
    )
    .execute(transaction)
    .await?;
    Ok(())
}

async fn tallies(transaction: &mut PgConnection, runs: &[Uuid]) -> Result<HashMap<RunId, Tally>> {
    let rows = sqlx::query!(
        r#"SELECT run_id AS "run: RunId", state AS "state: TargetState" FROM run_targets WHERE run_id = ANY($1)"#,
        runs
    )
    .fetch_all(transaction)
    .await?;
    let mut states: HashMap<RunId, Vec<TargetState>> = HashMap::new();
    for row in rows {
        states.entry(row.run).or_default().push(row.state);
    }
    Ok(states.into_iter().map(|(run, states)| (run, Tally::of(states))).collect())
}

async fn finish_run(
    transaction: &mut PgConnection,
    run: &Run,
    status: Status,
    tally: Tally,
    events: &mut Events,
) -> Result<()> {
    let summary = tally.summary();
    sqlx::query!(
        "UPDATE runs SET status = $2, summary = $3, finished_at = CASE WHEN $4 THEN now() END WHERE id = $1",
        run.id.0,
        status.as_str(),
        summary,
        status.finished()
    )
    .execute(transaction)
    .await?;
    let data = serde_json::json!({"run_id": run.id, "reminder_id": run.reminder, "status": status, "summary": summary});
    events.push(run.tenant, run.account, RUN_CHANGED, data);
    Ok(())
}

async fn pause_reminder(transaction: &mut PgConnection, run: &Run, events: &mut Events) -> Result<()> {
    let paused = sqlx::query!(
        "UPDATE reminders SET status = 'paused', next_fire_at = NULL, updated_at = now()
         WHERE tenant_id = $1 AND id = $2 AND version = (SELECT version FROM runs WHERE id = $3) AND status <> 'paused'",
        run.tenant.0,
        run.reminder.map(|reminder| reminder.0),
        run.id.0
    )
    .execute(transaction)
    .await?;
    if paused.rows_affected() > 0 {
        let reason = "the delivery window closed before everything was sent";
        let data = serde_json::json!({"reminder_id": run.reminder, "run_id": run.id, "reason": reason});
        events.push(run.tenant, run.account, REMINDER_PAUSED, data);
    }
    Ok(())
}
