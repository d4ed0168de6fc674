//! Settling runs: the state of a target follows from its messages, and the status of a run from its targets.

use std::collections::HashMap;

use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::correct::{Which, correct};
use super::ends::ended;
use super::targets::{chats, tallies};
use crate::error::Result;
use crate::events::Events;
use crate::notifications::notices::{About, Notices};
use crate::reminders::pausing::{CutOff, lift, lock_all, rest};
use crate::scope::ForAllTenants;
use domain::committed::Committed;
use domain::event::{self, RunChanged, RunProgress};
use domain::id::{AccountId, ReminderId, RunId, TenantId};
use domain::job::Bell;
use domain::reminder::life;
use domain::run::machine::{Event, decide};
use domain::run::notice::Chats;
use domain::run::{Status, Tally, TargetState, notice, target_state};

/// A run that has ended or was paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The run.
    pub run: RunId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its new status.
    pub status: Status,
    /// The run of the same reminder that was waiting for it.
    pub next: Option<RunId>,
}

struct Run {
    id: RunId,
    tenant: TenantId,
    account: Option<AccountId>,
    reminder: Option<ReminderId>,
    name: String,
    resumed: bool,
    trace: Option<String>,
}

impl Run {
    /// The data for pausing the run's reminder after the delivery window closed on the run; `None` if the reminder is
    /// deleted.
    fn cut_off(&self) -> Option<CutOff<'_>> {
        let (run, tenant, account) = (self.id, self.tenant, self.account);
        self.reminder.map(|reminder| CutOff { run, tenant, account, reminder, trace: self.trace.as_deref() })
    }
}

/// A pending target and the states of its messages.
struct Target {
    run: RunId,
    position: i32,
    queued: i64,
    sent: i64,
    failed: i64,
    expired: i64,
    reason: Option<String>,
}

/// Running runs of all tenants in which something can be settled: no message is queued any more, or a pending target
/// has neither queued nor expired messages.
///
/// # Errors
/// If the database fails.
pub async fn unsettled_runs(all: ForAllTenants<'_>, limit: i64) -> Result<Vec<RunId>> {
    let ForAllTenants { pool: db } = all;
    let runs = sqlx::query_scalar!(
        r#"
        SELECT r.id AS "id: RunId" FROM runs r
        WHERE r.status = 'running' AND (
            EXISTS (
                SELECT FROM run_targets t
                WHERE t.run_id = r.id AND t.state = 'pending' AND NOT EXISTS (
                    SELECT FROM messages m
                    WHERE m.run_id = t.run_id AND m.run_position = t.position AND m.state IN ('queued', 'expired')))
            OR NOT EXISTS (SELECT FROM messages m WHERE m.run_id = r.id AND m.state = 'queued'))
        ORDER BY r.created_at LIMIT $1
        "#,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(runs)
}

/// Settles what can be settled in these runs, in one transaction. Returns the runs whose status changed. Idempotent. A
/// run that another transaction is settling is left to it.
///
/// If the delivery window closed before all texts of a target were sent, the target stays pending. The run is then
/// `paused` if anything was sent, otherwise `failed`, and its reminder is paused. The end of a resumed run resumes its
/// reminder. Runs that have finished already are corrected by later acknowledgements.
///
/// # Errors
/// If the database fails. Then nothing is settled.
pub async fn settle_runs(all: ForAllTenants<'_>, runs: &[RunId]) -> Result<Committed<Vec<Settled>>> {
    let ForAllTenants { pool: db } = all;
    let mut transaction = db.begin().await?;
    let running = lock_runs(&mut transaction, runs).await?;
    let settled = settle(transaction, &running).await?;
    let others = runs.iter().filter(|run| running.iter().all(|running| running.id != **run)).map(|run| run.0);
    if let Err(error) = correct(db, &others.collect::<Vec<_>>(), Which::Over).await {
        tracing::warn!(%error, "runs that are over could not be corrected");
    }
    let bells: Vec<Bell> =
        settled.iter().filter_map(|settled| settled.next).map(|run| Bell::FireReminder { run }).collect();
    let tenants: Vec<TenantId> = settled.iter().map(|settled| settled.tenant).collect();
    Ok(bells.into_iter().fold(Committed::new(settled).signal(tenants), Committed::ring))
}

async fn settle(mut transaction: Transaction<'_, Postgres>, runs: &[Run]) -> Result<Vec<Settled>> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = runs.iter().map(|run| run.id.0).collect();
    let targets = pending_targets(&mut transaction, &ids).await?;
    finish_targets(&mut transaction, &targets).await?;
    let tallies = tallies(&mut transaction, &ids).await?;
    let mut told = Told { chats: chats(&mut transaction, &ids).await?, ..Told::default() };
    let (mut settled, mut going_on, mut closed, mut lifted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for run in runs {
        let tally = tallies.get(&run.id).copied().unwrap_or_default();
        let own: Vec<&Target> = targets.iter().filter(|target| target.run == run.id).collect();
        let step = event(&own, tally).and_then(|event| decide(Status::Running, event, run.resumed));
        let Some(step) = step else {
            if own.iter().any(|target| target.state() != TargetState::Pending) {
                going_on.push((run, tally));
            }
            continue;
        };
        finish_run(&mut transaction, run, step.status, tally, &mut told).await?;
        match step.reminder {
            Some(life::Event::WindowClosed) => closed.push(run),
            Some(life::Event::RunOver) => lifted.extend(run.reminder),
            Some(_) | None => {}
        }
        settled.push(Settled { run: run.id, tenant: run.tenant, status: step.status, next: None });
    }
    tell_progress(&mut transaction, &going_on, &mut told.events).await?;
    lock_all(&mut transaction, closed.iter().filter_map(|run| run.reminder).chain(lifted.iter().copied())).await?;
    let closed: Vec<CutOff<'_>> = closed.into_iter().filter_map(Run::cut_off).collect();
    rest(&mut transaction, &closed, &mut told.events).await?;
    told.events.write(&mut transaction).await?;
    told.notices.write(&mut transaction).await?;
    lift(&mut transaction, &lifted.iter().map(|reminder| reminder.0).collect::<Vec<_>>()).await?;
    find_next(&mut transaction, &mut settled).await?;
    transaction.commit().await?;
    ended(settled.iter().map(|settled| settled.status));
    Ok(settled)
}

#[derive(Default)]
struct Told {
    events: Events,
    notices: Notices,
    chats: HashMap<RunId, Chats>,
}

/// The event for a run that follows from the targets that were pending; `None` while a message is queued.
fn event(targets: &[&Target], tally: Tally) -> Option<Event> {
    if targets.iter().any(|target| target.queued > 0) {
        None
    } else if targets.iter().any(|target| target.shut_out()) {
        Some(Event::WindowClosed { tally, delivered: targets.iter().any(|target| target.sent > 0) })
    } else {
        Some(Event::Settled(tally))
    }
}

impl Target {
    /// Whether the window closed before the rest was sent, and nothing else went wrong.
    fn shut_out(&self) -> bool {
        self.expired > 0 && self.queued + self.failed == 0
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
               reminder_id AS "reminder: ReminderId", reminder_name AS name, resumed_at IS NOT NULL AS "resumed!", trace
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

async fn finish_run(
    transaction: &mut PgConnection,
    run: &Run,
    status: Status,
    tally: Tally,
    told: &mut Told,
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
    let changed = event::Event::RunChanged(RunChanged::of(run.id, run.reminder, status, summary, tally));
    told.events.push_of(run.trace.clone(), run.tenant, run.account, &changed);
    let chats = told.chats.get(&run.id).copied().unwrap_or(Chats::Mixed);
    if let Some((kind, body)) = notice::ended(status, tally, chats) {
        let about = About { tenant: run.tenant, reminder: run.reminder, name: &run.name, run: Some(run.id) };
        told.notices.push(about, kind, body);
    }
    Ok(())
}

/// Adds events about the progress of unfinished runs, each at most once a second.
async fn tell_progress(transaction: &mut PgConnection, runs: &[(&Run, Tally)], events: &mut Events) -> Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = runs.iter().map(|(run, _)| run.id.0).collect();
    let due = sqlx::query_scalar!(
        r#"UPDATE runs SET progress_at = now()
           WHERE id = ANY($1) AND (progress_at IS NULL OR progress_at <= now() - interval '1 second')
           RETURNING id AS "id: RunId""#,
        &ids
    )
    .fetch_all(transaction)
    .await?;
    for (run, tally) in runs.iter().filter(|(run, _)| due.contains(&run.id)) {
        let progress = event::Event::RunProgress(RunProgress {
            run_id: run.id,
            reminder_id: run.reminder,
            sent: tally.sent,
            failed: tally.failed,
            skipped: tally.skipped,
            total: tally.total(),
        });
        events.push_of(run.trace.clone(), run.tenant, run.account, &progress);
    }
    Ok(())
}

/// Finds the runs that were waiting for the settled ones.
async fn find_next(transaction: &mut PgConnection, settled: &mut [Settled]) -> Result<()> {
    let ids: Vec<Uuid> = settled.iter().map(|settled| settled.run.0).collect();
    let waiting = sqlx::query!(
        r#"SELECT DISTINCT ON (s.id) s.id AS "over: RunId", w.id AS "next: RunId"
           FROM runs s JOIN runs w ON w.reminder_id = s.reminder_id AND w.status = 'pending' AND w.finished_at IS NULL
           WHERE s.id = ANY($1) ORDER BY s.id, w.fire_at, w.id"#,
        &ids
    )
    .fetch_all(transaction)
    .await?;
    for row in waiting {
        for settled in settled.iter_mut().filter(|settled| settled.run == row.over) {
            settled.next = Some(row.next);
        }
    }
    Ok(())
}
