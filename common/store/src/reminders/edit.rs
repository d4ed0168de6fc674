//! Editing a reminder. An edit that changes what is sent, or when, arms the reminder again. Other edits leave its runs
//! alone.

use sqlx::{PgConnection, PgPool};

use super::row::{Plan, Reminder, Status, get, read, write_content};
use super::wake::wake;
use crate::error::{Error, Result};
use crate::runs::supersede::{Locked, cancel_open};
use crate::scope::{Of, Within};
use domain::committed::Committed;
use domain::conflict::Conflict;
use domain::id::{ReminderId, TenantId};
use domain::reminder::life::{self, Ahead};
use schedule::rearm::{Past, Run};
use schedule::zone;
use schedule::{Schedule, Stored, Window};

impl Reminder {
    /// The delivery window.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        Window::stored(self.window_end, self.window_start_min, self.window_end_min)
    }

    /// Whether a plan changes neither texts, targets, account nor schedule. A failed reminder is always armed again.
    #[must_use]
    pub fn fires_as(&self, plan: &Plan) -> bool {
        self.status != Status::Failed
            && self.account_id == plan.account
            && self.timezone == plan.timezone
            && (self.start_local, self.start_later) == (plan.start_local, plan.start_later)
            && self.rrule == plan.rrule
            && self.times == plan.times
            && self.exdates == plan.exdates
            && self.on_gap == plan.on_gap
            && self.window() == plan.window
            && self.messages == plan.messages
            && self.targets == plan.targets
    }
}

/// Writes an edit that changes neither texts, targets, account nor schedule. Runs continue, a paused reminder stays
/// paused, and no occurrence fires again. Returns the reminder as this edit left it; `None`, without any change, if the
/// plan differs from the reminder in these by now.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such reminder; [`Error::Changed`] if its version is not the one that the
/// plan expects.
pub async fn rename(of: Of<'_>, reminder: ReminderId, plan: &Plan) -> Result<Committed<Option<Reminder>>> {
    let Of { pool: db, tenant, .. } = of;
    let mut transaction = db.begin().await?;
    sqlx::query!("SELECT id FROM reminders WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tenant.0, reminder.0)
        .fetch_optional(&mut *transaction)
        .await?;
    let stored = read(Within::of(&mut transaction, tenant), &[reminder.0]).await?.pop().ok_or(Error::NotFound)?;
    expect(plan.expected, stored.version)?;
    if !stored.fires_as(plan) {
        return Ok(Committed::new(None));
    }
    sqlx::query!(
        "UPDATE reminders SET name = $3, misfire = $4, catchup_window_s = $5, overlap = $6, renamed = renamed + 1,
             updated_at = now()
         WHERE tenant_id = $1 AND id = $2",
        tenant.0,
        reminder.0,
        plan.name,
        plan.misfire.as_str(),
        plan.catchup_window_s,
        plan.overlap.as_str()
    )
    .execute(&mut *transaction)
    .await?;
    // before the commit: an edit right after this one has a version of its own
    let renamed = get(Within::of(&mut transaction, tenant), reminder).await?;
    transaction.commit().await?;
    Ok(Committed::new(Some(renamed)).signal([tenant]))
}

/// Replaces a reminder as a whole and arms it again. Nothing that was pending under the old plan fires any more.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such reminder, or no such account; [`Error::Changed`] if its version is not
/// the one that the plan expects.
pub async fn update(of: Of<'_>, reminder: ReminderId, plan: &Plan) -> Result<Committed<Reminder>> {
    let Of { pool: db, tenant, .. } = of;
    let updated = crate::retry::again(|| try_update(db, tenant, reminder, plan)).await?;
    Ok(Committed::new(updated).signal([tenant]))
}

async fn try_update(db: &PgPool, tenant: TenantId, reminder: ReminderId, plan: &Plan) -> Result<Reminder> {
    let mut transaction = db.begin().await?;
    let reason = "the reminder was edited";
    cancel_open(&mut transaction, tenant, reminder, Locked::Wait, reason).await?;
    let stands = sqlx::query!(
        r#"SELECT version + renamed AS "version!", status AS "status: Status", paused_by_tenant AS by_tenant
           FROM reminders WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE"#,
        tenant.0,
        reminder.0
    );
    let stands = stands.fetch_optional(&mut *transaction).await?.ok_or(Error::NotFound)?;
    expect(plan.expected, stands.version)?;
    let state = life::State { status: stands.status, by_tenant: stands.by_tenant };
    let Some(state) = life::decide(state, life::Event::Edited, Ahead::Next) else {
        return Err(Error::Corrupt(format!("reminder {reminder} is {:?} and can't be edited", state.status)));
    };
    let updated = sqlx::query!(
        "UPDATE reminders r SET account_id = a.id, name = $4, timezone = $5, start_local = $6, rrule = $7,
             recurrence = $8, window_end = $9, next_fire_at = $10, misfire = $11, catchup_window_s = $12, overlap = $13,
             exdates = $14, on_gap = $15, tzdb_version = $16, start_later = $17, times = $18, window_start_min = $19,
             window_end_min = $20, status = $21, paused_by_tenant = $22,
             version = r.version + 1, updated_at = now()
         FROM accounts a
         WHERE r.tenant_id = $2 AND r.id = $1 AND a.tenant_id = $2 AND a.id = $3 AND a.wanted <> 'erased'",
        reminder.0,
        tenant.0,
        plan.account.0,
        plan.name,
        plan.timezone,
        plan.start_local,
        plan.rrule,
        plan.recurrence,
        plan.window.map(Window::hour),
        plan.next_fire_at,
        plan.misfire.as_str(),
        plan.catchup_window_s,
        plan.overlap.as_str(),
        &plan.exdates,
        plan.on_gap.as_str(),
        zone::data_version(),
        plan.start_later,
        &plan.times,
        plan.window.map(Window::start),
        plan.window.map(Window::end),
        state.status.as_str(),
        state.by_tenant
    )
    .execute(&mut *transaction)
    .await?;
    if updated.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    // A run may have been fired and expanded just before the reminder was locked. A run that is locked now is about to
    // read the new version, and ends itself.
    cancel_open(&mut transaction, tenant, reminder, Locked::Skip, reason).await?;
    rearm(&mut transaction, tenant, reminder, plan).await?;
    sqlx::query!("DELETE FROM reminder_messages WHERE tenant_id = $1 AND reminder_id = $2", tenant.0, reminder.0)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("DELETE FROM reminder_targets WHERE tenant_id = $1 AND reminder_id = $2", tenant.0, reminder.0)
        .execute(&mut *transaction)
        .await?;
    write_content(&mut transaction, tenant, reminder, plan).await?;
    wake(&mut transaction).await?;
    let updated = get(Within::of(&mut transaction, tenant), reminder).await?;
    transaction.commit().await?;
    Ok(updated)
}

fn expect(expected: Option<i32>, version: i32) -> Result<()> {
    if expected.is_none_or(|expected| expected == version) { Ok(()) } else { Err(Error::Changed(version)) }
}

/// Sets the next fire of an edited reminder. An occurrence whose run was called back before anything was sent does not
/// get a second run. If the edited schedule still contains the occurrence, it fires at the next full minute. An
/// occurrence that was sent during the edit does not fire again.
async fn rearm(transaction: &mut PgConnection, tenant: TenantId, reminder: ReminderId, plan: &Plan) -> Result<()> {
    let past = read_past(transaction, tenant, reminder).await?;
    let stored = Stored {
        start_local: plan.start_local,
        start_later: plan.start_later,
        timezone: &plan.timezone,
        rrule: plan.rrule.as_deref(),
        times: &plan.times,
        exdates: &plan.exdates,
        on_gap: plan.on_gap,
        window: plan.window,
    };
    let armed = Schedule::read(&stored)
        .and_then(|schedule| past.rearm(&schedule, plan.next_fire_at))
        .map_err(|error| Conflict::ScheduleNotComputable { why: error.to_string() })?;
    let Some(armed) = armed else {
        return Err(Conflict::ReminderFiredMeanwhile.into());
    };
    sqlx::query!(
        "UPDATE reminders SET next_fire_at = $3 WHERE tenant_id = $1 AND id = $2",
        tenant.0,
        reminder.0,
        armed
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// What a reminder has done until now, for an edit.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such reminder.
pub async fn past(of: Of<'_>, reminder: ReminderId) -> Result<Past> {
    let Of { pool: db, tenant, .. } = of;
    read_past(&mut *db.acquire().await?, tenant, reminder).await
}

async fn read_past(connection: &mut PgConnection, tenant: TenantId, reminder: ReminderId) -> Result<Past> {
    let found = sqlx::query!(
        r#"SELECT last_fired_at, clock_timestamp() AS "now!" FROM reminders r WHERE tenant_id = $1 AND id = $2
           AND EXISTS (SELECT FROM accounts a WHERE a.id = r.account_id AND a.wanted <> 'erased')"#,
        tenant.0,
        reminder.0
    );
    let found = found.fetch_optional(&mut *connection).await?.ok_or(Error::NotFound)?;
    let runs = sqlx::query_as!(
        Run,
        r#"
        SELECT fire_at, finished_at, (status = 'canceled' OR finished_at IS NULL) AND NOT stopped AND NOT EXISTS (
            SELECT FROM messages m WHERE m.run_id = r.id
              AND (m.state IN ('sent', 'delivered', 'read') OR m.handed_at IS NOT NULL)) AS "is_unsent!"
        FROM runs r WHERE tenant_id = $1 AND reminder_id = $2 AND status <> 'missed'
        ORDER BY fire_at DESC LIMIT 10
        "#,
        tenant.0,
        reminder.0
    );
    let runs = runs.fetch_all(connection).await?;
    Ok(Past { now: found.now, fired: found.last_fired_at, runs })
}
