//! Due reminders: locking them, dividing their occurrences into fired and missed ones, and arming them again.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::{DateTime, TimeDelta, Utc};
use domain::id::{AccountId, ReminderId, TenantId};
use domain::reminder::catch_up::{self, Sorted};
use domain::reminder::life::{self, Ahead};
use domain::reminder::{Misfire, Overlap};
use schedule::zone;
use schedule::{OnGap, Schedule};
use sqlx::PgConnection;
use uuid::Uuid;

use super::timetable::{Timetable, timetable};
use crate::error::Result;

/// How many steps of expansion the late occurrences of one reminder may cost, some tens of milliseconds. Occurrences
/// beyond that count as missed. The limit counts steps instead of time, so that a slow or paused machine fires the same
/// occurrences.
const STEPS: u32 = 10 * schedule::STEPS_MAX;

/// A reminder that is due.
pub(crate) struct Due {
    pub(crate) id: ReminderId,
    pub(crate) tenant: TenantId,
    pub(crate) account: AccountId,
    pub(crate) name: String,
    pub(crate) timetable: Timetable,
    pub(crate) misfire: Misfire,
    pub(crate) catchup_window_s: i32,
    pub(crate) overlap: Overlap,
    pub(crate) fire_at: DateTime<Utc>,
    pub(crate) last_fired_at: Option<DateTime<Utc>>,
    pub(crate) tzdb_version: Option<String>,
    pub(crate) now: DateTime<Utc>,
    /// Whether its account is being deleted, and the reminder with it.
    pub(crate) erased: bool,
    /// The size of its texts and targets in bytes.
    pub(crate) bytes: i64,
    pub(crate) status: life::Status,
    pub(crate) by_tenant: bool,
}

/// What lies ahead of a reminder after an event.
pub(crate) enum Next {
    Rearmed(DateTime<Utc>),
    Ended,
    Failed(String),
}

pub(crate) async fn lock_due(transaction: &mut PgConnection, limit: i64) -> Result<Vec<Due>> {
    let due = sqlx::query!(
        r#"
        SELECT id AS "id: ReminderId", tenant_id AS "tenant: TenantId", account_id AS "account: AccountId",
               name, start_local, start_later, timezone, rrule, times, exdates, on_gap AS "on_gap: OnGap", window_end,
               window_start_min, window_end_min, misfire AS "misfire: Misfire",
               catchup_window_s, overlap AS "overlap: Overlap", next_fire_at AS "fire_at!", last_fired_at,
               tzdb_version, now() AS "now!", status AS "status: life::Status", paused_by_tenant AS by_tenant,
               EXISTS (SELECT FROM accounts a WHERE a.id = r.account_id AND a.wanted = 'erased') AS "erased!",
               (SELECT coalesce(sum(octet_length(body)), 0) FROM reminder_messages m WHERE m.reminder_id = r.id)
               + (SELECT coalesce(sum(octet_length(chat)), 0) FROM reminder_targets t WHERE t.reminder_id = r.id) AS "bytes!"
        FROM reminders r WHERE next_fire_at <= now()
        ORDER BY next_fire_at LIMIT $1
        FOR UPDATE OF r SKIP LOCKED
        "#,
        limit
    )
    .fetch_all(transaction)
    .await?;
    let due = due.into_iter().map(|row| Due {
        id: row.id,
        tenant: row.tenant,
        account: row.account,
        name: row.name,
        misfire: row.misfire,
        catchup_window_s: row.catchup_window_s,
        overlap: row.overlap,
        fire_at: row.fire_at,
        last_fired_at: row.last_fired_at,
        tzdb_version: row.tzdb_version,
        now: row.now,
        erased: row.erased,
        bytes: row.bytes,
        status: row.status,
        by_tenant: row.by_tenant,
        timetable: timetable!(row),
    });
    Ok(due.collect())
}

/// Disarms reminders whose account is being deleted. They are removed with the account.
pub(crate) async fn disarm(transaction: &mut PgConnection, erased: &[Due]) -> Result<()> {
    if !erased.is_empty() {
        let ids: Vec<Uuid> = erased.iter().map(|due| due.id.0).collect();
        sqlx::query!("UPDATE reminders SET next_fire_at = NULL WHERE id = ANY($1)", &ids).execute(transaction).await?;
    }
    Ok(())
}

/// Decides which due occurrences fire, and which occurrence comes next. A rule that can't be computed, or panics, ends
/// only its own reminder: occurrences that were due before still fire.
pub(crate) fn sort(due: &Due) -> Sorted {
    let window = TimeDelta::seconds(due.catchup_window_s.into());
    let steps = Cell::new(0_u32);
    let schedule = due.timetable.schedule();
    catch_up::sort(
        due.fire_at,
        due.now,
        (due.misfire, window),
        // a one-time reminder has fired, whatever its schedule says now
        |after| {
            if due.timetable.rrule.is_none() {
                return Ok(None);
            }
            let (next, taken) = following(&schedule, after)?;
            steps.set(steps.get().saturating_add(taken));
            Ok(next)
        },
        || steps.get() > STEPS,
    )
}

/// The first occurrence of a reminder strictly after an instant, if its schedule is valid.
pub(crate) fn next_after(
    schedule: &std::result::Result<Schedule, schedule::Error>,
    after: DateTime<Utc>,
) -> std::result::Result<Option<DateTime<Utc>>, schedule::Error> {
    Ok(following(schedule, after)?.0)
}

/// Like [`next_after`], with the number of steps used.
fn following(
    schedule: &std::result::Result<Schedule, schedule::Error>,
    after: DateTime<Utc>,
) -> std::result::Result<(Option<DateTime<Utc>>, u32), schedule::Error> {
    let schedule = schedule.as_ref().map_err(Clone::clone)?;
    let following = catch_unwind(AssertUnwindSafe(|| schedule.following(after, 1))).unwrap_or_else(|_| {
        Err(schedule::Error { field: "rrule", message: "the rule can't be computed".to_owned() })
    })?;
    Ok((following.occurrences.first().map(|occurrence| occurrence.at), following.steps))
}

pub(crate) async fn rearm(transaction: &mut PgConnection, due: &[Due], next: &[Next], sorted: &[Sorted]) -> Result<()> {
    let reminders: Vec<Uuid> = due.iter().map(|due| due.id.0).collect();
    let armed: Vec<_> = due.iter().zip(next).map(|(due, next)| next.armed(due)).collect();
    let statuses: Vec<String> = armed.iter().map(|(status, _)| status.as_str().to_owned()).collect();
    let times: Vec<Option<DateTime<Utc>>> = armed.iter().map(|(_, at)| *at).collect();
    let fired: Vec<bool> = sorted.iter().map(|sorted| !sorted.fire.is_empty()).collect();
    sqlx::query!(
        "UPDATE reminders r
         SET last_fired_at = CASE WHEN n.fired THEN now() ELSE r.last_fired_at END, next_fire_at = n.fire_at,
             status = n.status, tzdb_version = $5, updated_at = now()
         FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::boolean[]) AS n (id, status, fire_at, fired)
         WHERE r.id = n.id",
        &reminders,
        &statuses,
        &times as &[Option<DateTime<Utc>>],
        &fired,
        zone::data_version()
    )
    .execute(transaction)
    .await?;
    Ok(())
}

impl Next {
    /// What lies ahead by the reminder's schedule.
    pub(crate) fn after(
        reminder: ReminderId,
        next: &std::result::Result<Option<DateTime<Utc>>, schedule::Error>,
    ) -> Self {
        match next {
            Ok(Some(at)) => Self::Rearmed(*at),
            Ok(None) => Self::Ended,
            Err(error) => {
                tracing::error!(%reminder, %error, "the reminder can't be armed again");
                Self::Failed(error.to_string())
            }
        }
    }

    pub(crate) fn ahead(&self) -> Ahead {
        match self {
            Self::Rearmed(_) => Ahead::Next,
            Self::Ended => Ahead::Nothing,
            Self::Failed(_) => Ahead::Broken,
        }
    }

    /// The reminder's status after firing, and when it fires next. If its state does not allow firing, it is disarmed
    /// and keeps its status.
    fn armed(&self, due: &Due) -> (life::Status, Option<DateTime<Utc>>) {
        let state = life::State { status: due.status, by_tenant: due.by_tenant };
        if let Some(state) = life::decide(state, life::Event::Fired, self.ahead()) {
            return (state.status, self.fire_at());
        }
        tracing::error!(reminder = %due.id, status = due.status.as_str(), "a reminder was armed that can't fire; it is disarmed");
        (due.status, None)
    }

    pub(crate) fn fire_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Rearmed(at) => Some(*at),
            Self::Ended | Self::Failed(_) => None,
        }
    }
}
