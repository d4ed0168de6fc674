//! Decisions of people about runs: resume a paused run, cancel a run, clear the history.

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};

use super::ends::ended;
use super::expand::unable;
use super::history::Filter;
use super::supersede::{cancel_messages, finish_targets};
use super::targets::tallies;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::messages::call_back;
use crate::reminders::pausing::lift;
use crate::retry::TRIES;
use crate::scope::{Of, Within};
use domain::account;
use domain::committed::Committed;
use domain::conflict::Conflict;
use domain::event::{self, RunChanged};
use domain::id::{AccountId, ReminderId, RunId, TenantId};
use domain::job::Bell;
use domain::reminder::life;
use domain::run::machine::{self, Event};
use domain::run::{Status, Tally, TargetState};
use schedule::Window;
use schedule::zone::Tz;

/// The reason of unsent targets of a canceled run.
const BY_OPERATOR: &str = "canceled by operator";
/// How many runs one statement removes.
const BATCH: i64 = 1_000;

/// A resumed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumed {
    /// The account that sends it.
    pub account: AccountId,
    /// Whether it was running already, so that nothing changed.
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

/// Resumes a paused run. The unsent messages of its pending targets are queued again, in the same rows and with the
/// same WhatsApp ids, so that a crash causes no double send. The delivery window of today applies. It is also allowed
/// while the reminder is paused. A second request changes nothing.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such run; [`Error::Conflict`] if it is not paused, its reminder or its
/// account is deleted, or the delivery window is closed now; [`Conflict::NotConnected`] if its account has no phone.
pub async fn resume(of: impl Into<Within<'_>>, run: RunId) -> Result<Committed<Resumed>> {
    let (mut db, tenant) = of.into().acquire().await?;
    let mut transaction = db.begin().await?;
    let found = lock(&mut transaction, tenant, run).await?;
    let Some(step) = machine::decide(found.status, Event::Resumed, false) else {
        return match (found.account, found.resumed_at, found.status) {
            (Some(account), Some(_), Status::Running) => {
                Ok(Committed::new(Resumed { account, under_way: true }).ring(Bell::Send { account }))
            }
            _ => Err(Conflict::RunNotPaused(found.status).into()),
        };
    };
    let (account, expires_at) = sender(&mut transaction, tenant, &found).await?;
    call_back::take_up(&mut transaction, tenant, run, expires_at).await?;
    sqlx::query!(
        "UPDATE runs SET status = $2, summary = NULL, resumed_at = now() WHERE id = $1",
        run.0,
        step.status.as_str()
    )
    .execute(&mut *transaction)
    .await?;
    let tally = tallies(&mut transaction, &[run.0]).await?.remove(&run).unwrap_or_default();
    let changed = RunChanged::of(run, found.reminder, step.status, "resumed".to_owned(), tally);
    Events::one(tenant, found.account, &event::Event::RunChanged(changed)).write(&mut transaction).await?;
    transaction.commit().await?;
    let resumed = Resumed { account, under_way: false };
    Ok(Committed::new(resumed).ring(Bell::Send { account }).signal([tenant]))
}

/// The account that sends a resumed run, and until when it may send.
async fn sender(
    transaction: &mut PgConnection,
    tenant: TenantId,
    run: &Run,
) -> Result<(AccountId, Option<DateTime<Utc>>)> {
    let reminder = sqlx::query!(
        r#"SELECT timezone, window_end, window_start_min, window_end_min, now() AS "now!" FROM reminders WHERE tenant_id = $1 AND id = $2 FOR SHARE"#,
        tenant.0,
        run.reminder.map(|reminder| reminder.0)
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Conflict::RunWithoutReminder)?;
    let status = sqlx::query_scalar!(
        r#"SELECT status AS "status: account::Status" FROM accounts
           WHERE tenant_id = $1 AND id = $2 AND wanted <> 'erased' FOR SHARE"#,
        tenant.0,
        run.account.map(|account| account.0)
    )
    .fetch_optional(transaction)
    .await?;
    let (Some(account), Some(status)) = (run.account, status) else {
        return Err(Conflict::RunWithoutAccount.into());
    };
    if unable(status).is_some() {
        return Err(Conflict::NotConnected { first_pairing: false }.into());
    }
    let tz: Tz = reminder.timezone.parse().unwrap_or(Tz::UTC);
    let window = Window::stored(reminder.window_end, reminder.window_start_min, reminder.window_end_min);
    if let Some(window) = window.filter(|window| !window.is_now(tz, reminder.now)) {
        return Err(Conflict::WindowClosed { opens: window.opens().to_string(), zone: reminder.timezone }.into());
    }
    Ok((account, window.map(|window| window.closes_at(tz, reminder.now))))
}

/// A canceled run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canceled {
    /// The run of the same reminder that was waiting for it.
    pub next: Option<RunId>,
}

/// Cancels a run. What was sent stays sent; queued messages are canceled and their targets skipped. The run becomes
/// `partial`, or `canceled` if nothing was sent. An edit of its reminder does not fire it again. If the run was paused,
/// its reminder is resumed.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such run; [`Error::Conflict`] if it is over.
pub async fn cancel(of: impl Into<Within<'_>>, run: RunId) -> Result<Committed<Canceled>> {
    let (mut db, tenant) = of.into().acquire().await?;
    for _ in 1..TRIES {
        match try_cancel(&mut db, tenant, run).await {
            Err(error) if error.is_deadlock() => {}
            done => return done,
        }
    }
    try_cancel(&mut db, tenant, run).await
}

async fn try_cancel(db: &mut PgConnection, tenant: TenantId, run: RunId) -> Result<Committed<Canceled>> {
    let mut transaction = db.begin().await?;
    let found = lock(&mut transaction, tenant, run).await?;
    if found.status.finished() {
        return Err(Conflict::RunOver(found.status).into());
    }
    cancel_messages(&mut transaction, tenant, &[run.0], BY_OPERATOR).await?;
    finish_targets(&mut transaction, tenant, &[run.0], BY_OPERATOR, TargetState::Skipped).await?;
    let tally = tallies(&mut transaction, &[run.0]).await?.remove(&run).unwrap_or_default();
    let texts = left(&mut transaction, tenant, run).await?;
    let event = Event::Canceled { tally, left: texts.in_all > 0 };
    let Some(step) = machine::decide(found.status, event, found.resumed_at.is_some()) else {
        return Err(Conflict::RunOver(found.status).into());
    };
    let summary = canceled(tally, texts.of_skipped);
    sqlx::query!(
        "UPDATE runs SET status = $2, summary = $3, finished_at = now(), stopped = true WHERE id = $1",
        run.0,
        step.status.as_str(),
        summary
    )
    .execute(&mut *transaction)
    .await?;
    let changed = event::Event::RunChanged(RunChanged::of(run, found.reminder, step.status, summary, tally));
    Events::one(tenant, found.account, &changed).write(&mut transaction).await?;
    if step.reminder == Some(life::Event::RunOver) {
        let reminders: Vec<_> = found.reminder.iter().map(|reminder| reminder.0).collect();
        lift(&mut transaction, &reminders).await?;
    }
    let next = sqlx::query_scalar!(
        r#"SELECT id AS "id: RunId" FROM runs WHERE reminder_id = $1 AND status = 'pending' AND finished_at IS NULL
           ORDER BY fire_at, id LIMIT 1"#,
        found.reminder.map(|reminder| reminder.0)
    )
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    ended([step.status]);
    let canceled = Committed::new(Canceled { next }).signal([tenant]);
    Ok(next.into_iter().fold(canceled, |canceled, run| canceled.ring(Bell::FireReminder { run })))
}

/// How many texts of a run were sent or handed over.
struct Left {
    in_all: i64,
    /// Those of targets that did not get all texts.
    of_skipped: i64,
}

async fn left(transaction: &mut PgConnection, tenant: TenantId, run: RunId) -> Result<Left> {
    let left = sqlx::query_as!(
        Left,
        r#"SELECT count(*) AS "in_all!", count(*) FILTER (WHERE t.state = 'skipped') AS "of_skipped!"
           FROM messages m JOIN run_targets t ON t.run_id = m.run_id AND t.position = m.run_position
           WHERE m.tenant_id = $1 AND m.run_id = $2
             AND (m.state IN ('sent', 'delivered', 'read') OR (m.state = 'queued' AND m.handed_at IS NOT NULL))"#,
        tenant.0,
        run.0
    );
    Ok(left.fetch_one(transaction).await?)
}

/// The summary: `1 of 3 sent, 2 canceled by operator (1 text of them had left)`.
fn canceled(tally: Tally, left: i64) -> String {
    let mut words = format!("{} of {} sent", tally.sent, tally.total());
    if tally.failed > 0 {
        words.push_str(&format!(", {} failed", tally.failed));
    }
    if tally.skipped > 0 {
        words.push_str(&format!(", {} {BY_OPERATOR}", tally.skipped));
    }
    match left {
        0 => {}
        1 => words.push_str(" (1 text of them had left)"),
        left => words.push_str(&format!(" ({left} texts of them had left)")),
    }
    words
}

/// Clears the history: removes all finished runs of the tenant that match the filter. Runs of deleted reminders are
/// removed as well. Unfinished runs of existing reminders stay. Returns how many were removed.
///
/// # Errors
/// If the database fails. A part may be removed then.
pub async fn clear(of: Of<'_>, filter: Filter) -> Result<u64> {
    let Of { pool: db, tenant, .. } = of;
    let mut cleared = 0;
    loop {
        let removed = sqlx::query!(
            "DELETE FROM runs WHERE id IN (
                 SELECT id FROM runs WHERE tenant_id = $1 AND (finished_at IS NOT NULL OR reminder_id IS NULL)
                     AND ($2::uuid IS NULL OR reminder_id = $2) AND ($3::uuid IS NULL OR account_id = $3)
                     AND ($4::text IS NULL OR status = $4)
                     AND ($5::timestamptz IS NULL OR fire_at >= $5) AND ($6::timestamptz IS NULL OR fire_at < $6)
                 ORDER BY id LIMIT $7 FOR UPDATE SKIP LOCKED)",
            tenant.0,
            filter.reminder.map(|reminder| reminder.0),
            filter.account.map(|account| account.0),
            filter.status.map(Status::as_str),
            filter.since,
            filter.until,
            BATCH
        );
        let removed = removed.execute(db).await?.rows_affected();
        cleared += removed;
        if removed < BATCH.unsigned_abs() {
            return Ok(cleared);
        }
    }
}
