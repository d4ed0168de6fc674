//! Fires due reminders: writes the runs and arms the reminders again, in one transaction.

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

/// An occurrence that was just fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// The new run.
    pub run: RunId,
    /// The account that is to send it.
    pub account: AccountId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The W3C `traceparent` of its trace.
    pub trace: Option<String>,
}

/// The result of one step of firing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Firing {
    /// The number of due reminders.
    pub due: usize,
    /// Their new runs.
    pub fired: Vec<Fired>,
}

/// Fires up to `limit` due reminders of all tenants, the longest overdue first. One transaction writes the runs and
/// their targets and arms the reminders again. Any number of schedulers may do this at once.
///
/// Of the occurrences that came due while no scheduler ran, those fire that the reminder's `misfire` and
/// `catchup_window_s` allow. The first ten of the others get a run with status `missed` each, and one event counts them
/// all. After that the next occurrence is in the future. An occurrence that was planned with older zone data, and is
/// not due by this program's data, does not fire. A reminder whose account is being deleted is disarmed without an
/// event. If texts are long, fewer reminders fire at once.
///
/// # Errors
/// If the database fails. Then nothing is fired.
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

/// The time until the next occurrence of any tenant is due: zero if one is due now, `None` if no reminder is armed.
///
/// # Errors
/// If the database fails.
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
