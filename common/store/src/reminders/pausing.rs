//! Pausing and resuming reminders, by their tenant or because of paused runs.
//!
//! Lock order, as everywhere: a reminder's runs first, then the reminder.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::due::{Next, next_after};
use super::timetable::{Timetable, timetable};
use super::wake::wake;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::scope::Of;
use domain::committed::Committed;
use domain::conflict::Conflict;
use domain::event::{self, ReminderPaused, ReminderResumed};
use domain::id::{AccountId, ReminderId, RunId, TenantId};
use domain::reminder::life::{self, Ahead, Event, State, Status};
use schedule::OnGap;
use schedule::zone;

struct Resting {
    id: ReminderId,
    tenant: TenantId,
    account: AccountId,
    status: Status,
    by_tenant: bool,
    timetable: Timetable,
    now: DateTime<Utc>,
}

impl Resting {
    fn state(&self) -> State {
        State { status: self.status, by_tenant: self.by_tenant }
    }

    /// What lies ahead from now on. Occurrences during the pause do not count as missed.
    fn next(&self) -> Next {
        Next::after(self.id, &next_after(&self.timetable.schedule(), self.now))
    }
}

/// Pauses a reminder. It does not fire until its tenant resumes it. A run that is under way continues.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such reminder; [`Error::Conflict`] if it has ended or failed.
pub async fn pause(of: Of<'_>, reminder: ReminderId) -> Result<Committed<()>> {
    let Of { pool: db, tenant, .. } = of;
    let mut transaction = db.begin().await?;
    let found = lock(&mut transaction, &[reminder.0], Some(tenant)).await?.pop().ok_or(Error::NotFound)?;
    let Some(state) = life::decide(found.state(), Event::Paused, Ahead::Nothing) else {
        return Err(Conflict::ReminderNotPausable(found.status).into());
    };
    if state != found.state() {
        let reason = "its tenant paused it".to_owned();
        let paused = event::Event::ReminderPaused(ReminderPaused { reminder_id: reminder, run_id: None, reason });
        write(&mut transaction, &[(found.id, state, None)]).await?;
        Events::one(tenant, Some(found.account), &paused).write(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(Committed::new(()).signal([tenant]))
}

/// Resumes a paused or failed reminder with its first occurrence from now on. A paused reminder without one ends.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such reminder; [`Error::Conflict`] if it has ended, or is failed and has no
/// computable next occurrence.
pub async fn resume(of: Of<'_>, reminder: ReminderId) -> Result<Committed<()>> {
    let Of { pool: db, tenant, .. } = of;
    let mut transaction = db.begin().await?;
    let found = lock(&mut transaction, &[reminder.0], Some(tenant)).await?.pop().ok_or(Error::NotFound)?;
    if found.status == Status::Active {
        return Ok(Committed::new(()));
    }
    if !go_on(&mut transaction, std::slice::from_ref(&found), Event::Resumed).await? {
        return Err(Conflict::ReminderNotResumable(found.status).into());
    }
    transaction.commit().await?;
    Ok(Committed::new(()).signal([tenant]))
}

/// Resumes reminders whose paused run has ended, within the caller's transaction. A reminder stays paused if its tenant
/// paused it, or if another of its runs is still paused.
///
/// # Errors
/// If the database fails.
pub(crate) async fn lift(transaction: &mut PgConnection, reminders: &[Uuid]) -> Result<()> {
    if !reminders.is_empty() {
        let mut found = lock(transaction, reminders, None).await?;
        // queried after locking, so that ends of other runs are committed and visible
        let resting = sqlx::query_scalar!(
            r#"SELECT DISTINCT reminder_id AS "id!: ReminderId" FROM runs
               WHERE reminder_id = ANY($1) AND finished_at IS NULL AND status = 'paused'"#,
            reminders
        )
        .fetch_all(&mut *transaction)
        .await?;
        found.retain(|reminder| !resting.contains(&reminder.id));
        go_on(transaction, &found, Event::RunOver).await?;
    }
    Ok(())
}

/// Applies the event to the reminders. Returns whether anything changed.
async fn go_on(transaction: &mut PgConnection, reminders: &[Resting], event: Event) -> Result<bool> {
    let (mut events, mut changes) = (Events::default(), Vec::new());
    for reminder in reminders {
        let next = reminder.next();
        let Some(state) = life::decide(reminder.state(), event, next.ahead()) else { continue };
        let fire_at = next.fire_at();
        let resumed = ReminderResumed { reminder_id: reminder.id, status: state.status, next_fire_at: fire_at };
        events.push(reminder.tenant, Some(reminder.account), &event::Event::ReminderResumed(resumed));
        changes.push((reminder.id, state, fire_at));
    }
    if changes.is_empty() {
        return Ok(false);
    }
    write(transaction, &changes).await?;
    events.write(&mut *transaction).await?;
    wake(transaction).await?;
    Ok(true)
}

async fn lock(transaction: &mut PgConnection, reminders: &[Uuid], tenant: Option<TenantId>) -> Result<Vec<Resting>> {
    let found = sqlx::query!(
        r#"
        SELECT r.id AS "id: ReminderId", r.tenant_id AS "tenant: TenantId", r.account_id AS "account: AccountId",
               r.status AS "status: Status", r.paused_by_tenant AS by_tenant, r.start_local, r.start_later, r.timezone,
               r.rrule, r.times, r.window_end, r.window_start_min, r.window_end_min, r.exdates, r.on_gap AS "on_gap: OnGap", now() AS "now!"
        FROM reminders r
        WHERE r.id = ANY($1) AND ($2::uuid IS NULL OR r.tenant_id = $2)
          AND EXISTS (SELECT FROM accounts a WHERE a.id = r.account_id AND a.wanted <> 'erased')
        ORDER BY r.id FOR UPDATE
        "#,
        reminders,
        tenant.map(|tenant| tenant.0)
    )
    .fetch_all(transaction)
    .await?;
    let found = found.into_iter().map(|row| Resting {
        id: row.id,
        tenant: row.tenant,
        account: row.account,
        status: row.status,
        by_tenant: row.by_tenant,
        now: row.now,
        timetable: timetable!(row),
    });
    Ok(found.collect())
}

async fn write(transaction: &mut PgConnection, changes: &[(ReminderId, State, Option<DateTime<Utc>>)]) -> Result<()> {
    let ids: Vec<Uuid> = changes.iter().map(|(id, ..)| id.0).collect();
    let statuses: Vec<&str> = changes.iter().map(|(_, state, _)| state.status.as_str()).collect();
    let by_tenant: Vec<bool> = changes.iter().map(|(_, state, _)| state.by_tenant).collect();
    let times: Vec<Option<DateTime<Utc>>> = changes.iter().map(|(.., at)| *at).collect();
    sqlx::query!(
        "UPDATE reminders r SET status = c.status, paused_by_tenant = c.by_tenant, next_fire_at = c.fire_at,
             tzdb_version = $5, updated_at = now()
         FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::timestamptz[]) AS c (id, status, by_tenant, fire_at)
         WHERE r.id = c.id",
        &ids,
        &statuses as &[&str],
        &by_tenant,
        &times as &[Option<DateTime<Utc>>],
        zone::data_version()
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// A run whose delivery window closed before everything was sent.
pub(crate) struct CutOff<'a> {
    pub(crate) run: RunId,
    pub(crate) tenant: TenantId,
    pub(crate) account: Option<AccountId>,
    pub(crate) reminder: ReminderId,
    pub(crate) trace: Option<&'a str>,
}

/// Locks reminders that are about to change. The order is fixed, since other transactions settle runs of the same
/// reminders.
///
/// # Errors
/// If the database fails.
pub(crate) async fn lock_all(
    transaction: &mut PgConnection,
    reminders: impl Iterator<Item = ReminderId>,
) -> Result<()> {
    let reminders: Vec<Uuid> = reminders.map(|reminder| reminder.0).collect();
    if !reminders.is_empty() {
        sqlx::query!("SELECT id FROM reminders WHERE id = ANY($1) ORDER BY id FOR UPDATE", &reminders)
            .fetch_all(transaction)
            .await?;
    }
    Ok(())
}

/// Pauses reminders whose delivery window closed on a run, unless they were edited after that run fired. The caller has
/// locked them.
///
/// # Errors
/// If the database fails.
pub(crate) async fn rest(transaction: &mut PgConnection, closed: &[CutOff<'_>], events: &mut Events) -> Result<()> {
    if closed.is_empty() {
        return Ok(());
    }
    let runs: Vec<Uuid> = closed.iter().map(|closed| closed.run.0).collect();
    let found = sqlx::query!(
        r#"SELECT r.id AS "run: RunId", d.status AS "status: Status", d.paused_by_tenant
           FROM runs r JOIN reminders d ON d.tenant_id = r.tenant_id AND d.id = r.reminder_id AND d.version = r.version
           WHERE r.id = ANY($1)"#,
        &runs
    )
    .fetch_all(&mut *transaction)
    .await?;
    let (mut changes, mut rested) = (Vec::new(), HashSet::new());
    for closed in closed {
        let Some(stands) = found.iter().find(|found| found.run == closed.run) else { continue };
        let state = State { status: stands.status, by_tenant: stands.paused_by_tenant };
        let Some(state) = life::decide(state, Event::WindowClosed, Ahead::Nothing) else { continue };
        // the first of several runs of one reminder pauses it and writes the event
        if !rested.insert(closed.reminder) {
            continue;
        }
        changes.push((closed.reminder, state, None));
        let reason = "the delivery window closed before everything was sent".to_owned();
        let paused = ReminderPaused { reminder_id: closed.reminder, run_id: Some(closed.run), reason };
        let paused = event::Event::ReminderPaused(paused);
        events.push_of(closed.trace.map(str::to_owned), closed.tenant, closed.account, &paused);
    }
    write(transaction, &changes).await
}
