//! Firing what is due: runs are written, and their reminders armed again, in one transaction.

use std::time::Duration;

use domain::committed::Committed;
use domain::id::{AccountId, RunId, TenantId};
use domain::job::Bell;
use domain::reminder::catch_up::Sorted;
use process::telemetry::trace::{self, Destination};
use sqlx::PgPool;

use super::insert;
use crate::error::Result;
use crate::page;
use crate::reminders::due::{Due, Next, disarm, lock_due, rearm, sort};
use crate::reminders::zone_data;
use crate::scope::ForAllTenants;

/// An occurrence that was fired just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// The new run.
    pub run: RunId,
    /// The account that is to send it.
    pub account: AccountId,
    /// Whose.
    pub tenant: TenantId,
    /// Its story.
    pub trace: Option<String>,
}

/// What a step of firing did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Firing {
    /// Reminders that were due.
    pub due: usize,
    /// Their new runs.
    pub fired: Vec<Fired>,
}

/// Fires up to `limit` due reminders of all tenants, the longest overdue first: runs and their targets are written and the
/// reminder re-armed in one transaction. Any number of schedulers may do this at once.
///
/// Of occurrences that came due while no scheduler ran, those fire that the reminder's `misfire` and `catchup_window_s`
/// let through; of the others the first ten have a run `missed` each, and an event tells of all. The next occurrence lies
/// in the future again. What was planned with older zone data than this program's, and is not due by today's, does not fire.
/// What belongs to an account that is being deleted is disarmed without a word. Where texts are long, fewer fire at once.
///
/// # Errors
/// When the database does not do it; nothing is fired then.
pub async fn fire_due(all: ForAllTenants<'_>, limit: i64) -> Result<Committed<Firing>> {
    let ForAllTenants { pool: db } = all;
    let step = trace::write(Destination::Runs);
    let firing = fire(db, limit, &step).await;
    step.heard(&firing);
    firing
}

async fn fire(db: &PgPool, limit: i64, step: &trace::Step) -> Result<Committed<Firing>> {
    let mut transaction = db.begin().await?;
    let mut due = lock_due(&mut transaction, limit).await?;
    if due.is_empty() {
        return Ok(Committed::new(Firing::default()));
    }
    due.truncate(page::fit(due.iter().map(|due| due.bytes), limit));
    let (erased, mut due): (Vec<Due>, Vec<Due>) = due.into_iter().partition(|due| due.erased);
    disarm(&mut transaction, &erased).await?;
    zone_data::replan(&mut due).write(&mut transaction).await?;
    let open = insert::open_runs(&mut transaction, &due).await?;
    let sorted: Vec<Sorted> = due.iter().map(|due| sort(due).beside(due.overlap, open.count(due.id))).collect();
    let runs = insert::insert_runs(&mut transaction, &due, &sorted).await?;
    let next: Vec<Next> = due.iter().zip(&sorted).map(|(due, sorted)| Next::after(due.id, &sorted.next)).collect();
    rearm(&mut transaction, &due, &next, &sorted).await?;
    insert::tell(&mut transaction, &due, &next, &sorted, &runs).await?;
    transaction.commit().await?;
    insert::measure(&due, &runs);
    let fired = runs.iter().filter(|run| run.missed.is_none()).map(|run| {
        let due = &due[run.due];
        Fired { run: run.id, account: due.account, tenant: due.tenant, trace: run.trace() }
    });
    let fired: Vec<Fired> = fired.collect();
    let step = step.clone().batch(fired.len());
    step.follows_all(fired.iter().filter_map(|fired| fired.trace.as_deref()));
    let seen = erased.len() + due.len();
    let bells: Vec<_> =
        fired.iter().map(|fired| (Bell::FireReminder { run: fired.run }, fired.trace.clone())).collect();
    let firing = Committed::new(Firing { due: seen, fired }).signal(due.iter().map(|due| due.tenant));
    Ok(bells.into_iter().fold(firing, |firing, (bell, story)| firing.ring_after(bell, story)))
}

/// How long until the next occurrence of any tenant is due; zero when one is, none when none is armed.
///
/// # Errors
/// When the database does not answer.
pub async fn next_due_in(all: ForAllTenants<'_>) -> Result<Option<Duration>> {
    let ForAllTenants { pool: db } = all;
    let seconds = sqlx::query_scalar!(
        r#"SELECT extract(epoch FROM min(next_fire_at) - clock_timestamp())::double precision FROM reminders
           WHERE next_fire_at IS NOT NULL"#
    )
    .fetch_one(db)
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)))
}
