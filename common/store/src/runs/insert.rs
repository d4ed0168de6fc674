//! Writes the result of firing: runs, their targets, events and notifications.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::ends::ended;
use crate::error::Result;
use crate::events::Events;
use crate::notifications::notices::{About, Notices};
use crate::reminders::due::{Due, Next};
use domain::event::{Event, ReminderFailed, ReminderFired, ReminderMissed};
use domain::id::{ReminderId, RunId};
use domain::reminder::catch_up::{MOST, Sorted, Why};
use domain::run::Status;
use domain::run::notice::{self, Kind};
use process::telemetry::metrics;
use process::telemetry::trace::{self, Destination, Step};

/// A run that was just written.
pub(super) struct NewRun {
    pub(super) id: RunId,
    /// The index of its reminder among the due ones.
    pub(super) due: usize,
    pub(super) fire_at: DateTime<Utc>,
    /// Why it was missed; `None`: it is sent.
    pub(super) missed: Option<Why>,
    /// The span of its creation, with which its trace begins.
    step: Step,
}

impl NewRun {
    /// The W3C `traceparent` of its trace.
    pub(super) fn trace(&self) -> Option<String> {
        self.step.context()
    }
}

/// The number of runs of each reminder that are in progress or waiting.
pub(super) struct Open(HashMap<ReminderId, usize>);

impl Open {
    pub(super) fn count(&self, reminder: ReminderId) -> usize {
        self.0.get(&reminder).copied().unwrap_or(0)
    }
}

/// Counts them. A run that is paused, or was resumed, does not block the next occurrence.
pub(super) async fn open_runs(transaction: &mut PgConnection, due: &[Due]) -> Result<Open> {
    let reminders: Vec<Uuid> = due.iter().map(|due| due.id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT reminder_id AS "reminder!: ReminderId", count(*) AS "count!" FROM runs
           WHERE reminder_id = ANY($1) AND finished_at IS NULL AND status IN ('pending', 'running') AND resumed_at IS NULL
           GROUP BY reminder_id"#,
        &reminders
    )
    .fetch_all(transaction)
    .await?;
    let counts = rows.into_iter().map(|row| (row.reminder, usize::try_from(row.count).unwrap_or(usize::MAX)));
    Ok(Open(counts.collect()))
}

/// Writes runs and targets. An occurrence that has a run already does not get a second one, since
/// `(reminder_id, fire_at)` is unique.
pub(super) async fn insert_runs(transaction: &mut PgConnection, due: &[Due], sorted: &[Sorted]) -> Result<Vec<NewRun>> {
    let wanted = due.iter().zip(sorted).enumerate().flat_map(|(place, (due, sorted))| runs_of(place, due, sorted));
    let wanted: Vec<NewRun> = wanted.collect();
    let ids: Vec<Uuid> = wanted.iter().map(|run| run.id.0).collect();
    let reminders: Vec<Uuid> = wanted.iter().map(|run| due[run.due].id.0).collect();
    let times: Vec<DateTime<Utc>> = wanted.iter().map(|run| run.fire_at).collect();
    let reasons: Vec<Option<&str>> = wanted.iter().map(|run| run.missed.map(Why::words)).collect();
    let traces: Vec<Option<String>> = wanted.iter().map(NewRun::trace).collect();
    let written = sqlx::query_scalar!(
        r#"
        INSERT INTO runs (id, tenant_id, reminder_id, account_id, reminder_name, account_label, version, fire_at, bodies,
            status, summary, finished_at, trace)
        SELECT n.run_id, r.tenant_id, r.id, r.account_id, r.name, a.label, r.version, n.fire_at,
               CASE WHEN n.reason IS NULL THEN coalesce(
                   (SELECT array_agg(m.body ORDER BY m.position) FROM reminder_messages m
                    WHERE m.tenant_id = r.tenant_id AND m.reminder_id = r.id), '{}') ELSE '{}' END,
               CASE WHEN n.reason IS NULL THEN 'pending' ELSE 'missed' END, n.reason,
               CASE WHEN n.reason IS NOT NULL THEN now() END, n.trace
        FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[])
            AS n (run_id, reminder_id, fire_at, reason, trace)
        JOIN reminders r ON r.id = n.reminder_id
        JOIN accounts a ON a.tenant_id = r.tenant_id AND a.id = r.account_id
        ON CONFLICT (reminder_id, fire_at) DO NOTHING
        RETURNING id
        "#,
        &ids,
        &reminders,
        &times,
        &reasons as &[Option<&str>],
        &traces as &[Option<String>]
    )
    .fetch_all(&mut *transaction)
    .await?;
    let written: HashSet<Uuid> = written.into_iter().collect();
    let runs: Vec<NewRun> = wanted.into_iter().filter(|run| written.contains(&run.id.0)).collect();
    let pending: Vec<Uuid> = runs.iter().filter(|run| run.missed.is_none()).map(|run| run.id.0).collect();
    sqlx::query!(
        "INSERT INTO run_targets (tenant_id, run_id, position, chat)
         SELECT t.tenant_id, r.id, t.position, t.chat
         FROM runs r JOIN reminder_targets t ON t.tenant_id = r.tenant_id AND t.reminder_id = r.reminder_id
         WHERE r.id = ANY($1)",
        &pending
    )
    .execute(transaction)
    .await?;
    Ok(runs)
}

/// The runs of a reminder. Only the first missed occurrences get a row each; the event counts all.
fn runs_of(place: usize, due: &Due, sorted: &Sorted) -> impl Iterator<Item = NewRun> {
    let missed = sorted.missed.iter().take(MOST).map(|(at, why)| (*at, Some(*why)));
    let fire = sorted.fire.iter().map(|at| (*at, None));
    missed.chain(fire).map(move |(fire_at, missed)| {
        let id = RunId::new();
        let step = trace::create(Destination::Runs).tenant(due.tenant).account(due.account).message(&id);
        if let Some(why) = missed {
            step.outcome(why.as_str());
        }
        NewRun { id, due: place, fire_at, missed, step }
    })
}

/// Writes events and notifications about the runs that were really written.
pub(super) async fn tell(
    transaction: &mut PgConnection,
    due: &[Due],
    next: &[Next],
    sorted: &[Sorted],
    runs: &[NewRun],
) -> Result<()> {
    let (mut events, mut notices) = (Events::default(), Notices::default());
    let mut told_missed = HashSet::new();
    for run in runs {
        let (due, sorted) = (&due[run.due], &sorted[run.due]);
        let about = About { tenant: due.tenant, reminder: Some(due.id), name: &due.name, run: Some(run.id) };
        match run.missed {
            None => {
                let fired = ReminderFired { reminder_id: due.id, run_id: run.id, fire_at: run.fire_at };
                events.push_of(run.trace(), due.tenant, Some(due.account), &Event::ReminderFired(fired));
                notices.push(about, Kind::Fired, notice::fired(run.fire_at, &due.timetable.timezone));
            }
            Some(why) if told_missed.insert(run.due) => {
                let (count, more) = (sorted.missed.len(), sorted.uncounted);
                let missed = ReminderMissed {
                    reminder_id: due.id,
                    run_id: run.id,
                    fire_at: run.fire_at,
                    count,
                    more,
                    reason: why.words().to_owned(),
                };
                events.push_of(run.trace(), due.tenant, Some(due.account), &Event::ReminderMissed(missed));
                notices.push(
                    about,
                    Kind::Missed,
                    notice::missed(count, more, (run.fire_at, &due.timetable.timezone), why.words()),
                );
            }
            Some(_) => {}
        }
    }
    for (due, next) in due.iter().zip(next) {
        if let Next::Failed(reason) = next {
            let failed = ReminderFailed { reminder_id: due.id, reason: reason.clone() };
            events.push(due.tenant, Some(due.account), &Event::ReminderFailed(failed));
            let about = About { tenant: due.tenant, reminder: Some(due.id), name: &due.name, run: None };
            notices.push(about, Kind::Failed, format!("It can't go on: {reason}."));
        }
    }
    events.write(&mut *transaction).await?;
    notices.write(transaction).await
}

/// Counts the runs in the metrics. To be called after the commit.
pub(super) fn measure(due: &[Due], runs: &[NewRun]) {
    for run in runs {
        match run.missed {
            None => {
                metrics::OCCURRENCES_FIRED.inc();
                metrics::OCCURRENCE_LATENESS_SECONDS
                    .observe_with_trace((due[run.due].now - run.fire_at).as_seconds_f64());
            }
            Some(why) => {
                metrics::OCCURRENCES_MISSED.of(why).inc();
                ended([Status::Missed]);
            }
        }
    }
}
