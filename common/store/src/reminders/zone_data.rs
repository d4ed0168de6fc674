//! New zone data. When a country changes its clocks, the next fires that were computed with old data are computed
//! again.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::due::Due;
use super::timetable::{Timetable, timetable};
use super::wake::wake;
use crate::error::Result;
use crate::events::Events;
use crate::scope::ForAllTenants;
use domain::committed::Committed;
use domain::event::{Event, ReminderRescheduled};
use domain::id::{AccountId, ReminderId, TenantId};
use schedule::OnGap;
use schedule::zone;

/// The result of one step of [`refresh_zone_data`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// How many reminders it looked at. If fewer than the limit, there are no more.
    pub seen: usize,
    /// The tenants of reminders that now fire at another time, one entry per reminder.
    pub moved: Vec<TenantId>,
}

struct Planned {
    id: ReminderId,
    tenant: TenantId,
    account: AccountId,
    timetable: Timetable,
    fire_at: DateTime<Utc>,
    last_fired_at: Option<DateTime<Utc>>,
}

/// Recomputes the next fires of up to `limit` armed reminders of all tenants that were computed with zone data older
/// than `version`, this program's own. Each reminder that moves gets an event. A program with older data leaves newer
/// rows alone, so that two releases side by side don't undo each other's work.
///
/// # Errors
/// If the database fails. Then nothing has changed.
pub async fn refresh_zone_data(all: ForAllTenants<'_>, version: &str, limit: i64) -> Result<Committed<Refreshed>> {
    let ForAllTenants { pool: db } = all;
    let mut transaction = db.begin().await?;
    let planned = lock_outdated(&mut transaction, version, limit).await?;
    let mut refreshed = Refreshed { seen: planned.len(), moved: Vec::new() };
    if planned.is_empty() {
        return Ok(Committed::new(refreshed));
    }
    let mut events = Events::default();
    let mut times = Vec::with_capacity(planned.len());
    for reminder in &planned {
        let moved = moved(&reminder.timetable, reminder.fire_at, reminder.last_fired_at);
        times.push(moved.unwrap_or(reminder.fire_at));
        if let Some(at) = moved {
            let of = (reminder.id, reminder.tenant, reminder.account);
            tell(of, (reminder.fire_at, at), version, &mut events);
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
    let planned = sqlx::query!(
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
    let planned = planned.into_iter().map(|row| Planned {
        id: row.id,
        tenant: row.tenant,
        account: row.account,
        fire_at: row.fire_at,
        last_fired_at: row.last_fired_at,
        timetable: timetable!(row),
    });
    Ok(planned.collect())
}

/// Recomputes due reminders that were planned with older zone data, before they fire. Without this, a reminder that
/// moved to a later time would fire twice: now and then. Returns the events about it.
pub(crate) fn replan(due: &mut [Due]) -> Events {
    let mut events = Events::default();
    for due in due {
        let is_outdated = due.tzdb_version.as_deref().is_some_and(|version| version < zone::data_version());
        if is_outdated && let Some(at) = moved(&due.timetable, due.fire_at, due.last_fired_at) {
            tell((due.id, due.tenant, due.account), (due.fire_at, at), zone::data_version(), &mut events);
            due.fire_at = at;
        }
    }
    events
}

/// The new time of the next fire; `None` if it does not move. A schedule that can't be computed fails when it is due,
/// with an event.
fn moved(timetable: &Timetable, fire_at: DateTime<Utc>, last_fired_at: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    let schedule = timetable.schedule().ok()?;
    let moved = catch_unwind(AssertUnwindSafe(|| schedule.moved(fire_at, last_fired_at)));
    moved.ok()?.ok()?
}

fn tell(
    (id, tenant, account): (ReminderId, TenantId, AccountId),
    (previous, at): (DateTime<Utc>, DateTime<Utc>),
    version: &str,
    events: &mut Events,
) {
    tracing::info!(reminder = %id, %previous, next = %at, "zone data moved a reminder");
    let rescheduled = Event::ReminderRescheduled(ReminderRescheduled {
        reminder_id: id,
        previous,
        next_fire_at: at,
        zone_data: version.to_owned(),
    });
    events.push(tenant, Some(account), &rescheduled);
}
