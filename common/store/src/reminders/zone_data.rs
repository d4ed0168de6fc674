//! New zone data: when a country changes its clocks, what was planned with the old data is planned anew.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::due::Due;
use super::wake::wake;
use crate::error::Result;
use crate::events::Events;
use domain::committed::Committed;
use domain::event::{Event, ReminderRescheduled};
use domain::id::{AccountId, ReminderId, TenantId};
use schedule::zone;
use schedule::{OnGap, Schedule, Stored, Window};

/// What a step of [`refresh_zone_data`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// How many reminders it looked at; fewer than its limit: there are no more.
    pub seen: usize,
    /// Whose reminders now fire at another time; once per reminder.
    pub moved: Vec<TenantId>,
}

struct Planned {
    id: ReminderId,
    tenant: TenantId,
    account: AccountId,
    start_local: NaiveDateTime,
    start_later: bool,
    timezone: String,
    rrule: Option<String>,
    times: Vec<i16>,
    exdates: Vec<String>,
    on_gap: OnGap,
    window_end: Option<i16>,
    window_start_min: Option<i16>,
    window_end_min: Option<i16>,
    fire_at: DateTime<Utc>,
    last_fired_at: Option<DateTime<Utc>>,
}

/// Computes anew when up to `limit` armed reminders of all tenants fire next, if that was computed with zone data older
/// than `version`, this program's own; each that fires at another time now gets an event. Older programs leave newer
/// rows alone, so that two releases side by side don't undo each other's work.
///
/// # Errors
/// When the database does not do it; nothing is changed then.
pub async fn refresh_zone_data(db: &PgPool, version: &str, limit: i64) -> Result<Committed<Refreshed>> {
    let mut transaction = db.begin().await?;
    let planned = lock_outdated(&mut transaction, version, limit).await?;
    let mut refreshed = Refreshed { seen: planned.len(), moved: Vec::new() };
    if planned.is_empty() {
        return Ok(Committed::new(refreshed));
    }
    let mut events = Events::default();
    let mut times = Vec::with_capacity(planned.len());
    for reminder in &planned {
        let moved = reminder.moved();
        times.push(moved.unwrap_or(reminder.fire_at));
        if let Some(at) = moved {
            reminder.tell(at, version, &mut events);
            refreshed.moved.push(reminder.tenant);
        }
    }
    let ids: Vec<Uuid> = planned.iter().map(|reminder| reminder.id.0).collect();
    sqlx::query!(
        "UPDATE reminders r SET next_fire_at = n.fire_at, tzdb_version = $3
         FROM unnest($1::uuid[], $2::timestamptz[]) AS n (id, fire_at) WHERE r.id = n.id",
        &ids,
        &times,
        version
    )
    .execute(&mut *transaction)
    .await?;
    events.write(&mut transaction).await?;
    if !refreshed.moved.is_empty() {
        wake(&mut transaction).await?;
    }
    transaction.commit().await?;
    let moved = refreshed.moved.clone();
    Ok(Committed::new(refreshed).signal(moved))
}

async fn lock_outdated(transaction: &mut PgConnection, version: &str, limit: i64) -> Result<Vec<Planned>> {
    let planned = sqlx::query_as!(
        Planned,
        r#"
        SELECT id AS "id: ReminderId", tenant_id AS "tenant: TenantId", account_id AS "account: AccountId", start_local,
               start_later, timezone, rrule, times, exdates, on_gap AS "on_gap: OnGap", window_end, window_start_min,
               window_end_min, next_fire_at AS "fire_at!", last_fired_at
        FROM reminders
        WHERE next_fire_at IS NOT NULL AND (tzdb_version IS NULL OR tzdb_version < $1)
        ORDER BY next_fire_at LIMIT $2
        FOR UPDATE SKIP LOCKED
        "#,
        version,
        limit
    )
    .fetch_all(transaction)
    .await?;
    Ok(planned)
}

/// Plans due reminders anew that were planned with older zone data, before they fire. Without this, one whose time moved later would
/// fire twice: now, and then. Returns what is to be told.
pub(crate) fn replan(due: &mut [Due]) -> Events {
    let mut events = Events::default();
    for due in due {
        if due.tzdb_version.as_deref().is_some_and(|version| version < zone::data_version()) {
            let planned = Planned::from(&*due);
            if let Some(at) = planned.moved() {
                planned.tell(at, zone::data_version(), &mut events);
                due.fire_at = at;
            }
        }
    }
    events
}

impl From<&Due> for Planned {
    fn from(due: &Due) -> Self {
        Self {
            id: due.id,
            tenant: due.tenant,
            account: due.account,
            start_local: due.start_local,
            start_later: due.start_later,
            timezone: due.timezone.clone(),
            rrule: due.rrule.clone(),
            times: due.times.clone(),
            exdates: due.exdates.clone(),
            on_gap: due.on_gap,
            window_end: due.window_end,
            window_start_min: due.window_start_min,
            window_end_min: due.window_end_min,
            fire_at: due.fire_at,
            last_fired_at: due.last_fired_at,
        }
    }
}

impl Planned {
    /// When it fires now; none: when it was planned. What can't be computed fails when it is due, with an event.
    fn moved(&self) -> Option<DateTime<Utc>> {
        let schedule = Schedule::read(&Stored {
            start_local: self.start_local,
            start_later: self.start_later,
            timezone: &self.timezone,
            rrule: self.rrule.as_deref(),
            times: &self.times,
            exdates: &self.exdates,
            on_gap: self.on_gap,
            window: Window::stored(self.window_end, self.window_start_min, self.window_end_min),
        })
        .ok()?;
        let moved = catch_unwind(AssertUnwindSafe(|| schedule.moved(self.fire_at, self.last_fired_at)));
        moved.ok()?.ok()?
    }

    fn tell(&self, at: DateTime<Utc>, version: &str, events: &mut Events) {
        tracing::info!(reminder = %self.id, previous = %self.fire_at, next = %at, "zone data moved a reminder");
        let rescheduled = Event::ReminderRescheduled(ReminderRescheduled {
            reminder_id: self.id,
            previous: self.fire_at,
            next_fire_at: at,
            zone_data: version.to_owned(),
        });
        events.push(self.tenant, Some(self.account), &rescheduled);
    }
}
