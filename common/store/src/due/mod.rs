//! Occurrences: firing what is due, expanding a run into messages, and settling it from what became of them.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Result, page};
use domain::id::{AccountId, ReminderId, RunId, TenantId};
use domain::reminder::catch_up::{self, Sorted};
use domain::reminder::life::{self, Ahead};
use domain::reminder::{Misfire, Overlap};
use process::telemetry::trace::{self, Destination};
use schedule::zone;
use schedule::{OnGap, Schedule, Stored, Window};

mod correct;
mod expand;
mod fire;
mod notices;
mod pausing;
mod settle;
mod targets;
mod wake;
mod zone_data;

pub(crate) use correct::{Which, correct};
pub(crate) use expand::unable;
pub use expand::{Expansion, expand_run, give_up_runs};
pub(crate) use fire::ended;
pub(crate) use notices::{About, Notices};
pub(crate) use pausing::lift;
pub use pausing::{pause, resume};
pub use settle::{Settled, settle_runs, unsettled_runs};
pub(crate) use targets::{chats, tallies};
pub use wake::Wake;
pub(crate) use wake::wake;
pub use zone_data::{Refreshed, refresh_zone_data};

/// Steps of expansion that one reminder's late occurrences may cost, some tens of milliseconds; what lies beyond counts as
/// missed. Steps, not time: a machine that is slow or paused fires the same occurrences.
const STEPS: u32 = 10 * schedule::STEPS_MAX;

/// An occurrence that was fired just now: ring for its run, and signal its tenant.
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
    /// Runs to ring for.
    pub fired: Vec<Fired>,
    /// Whose reminders they were: signal them.
    pub tenants: Vec<TenantId>,
}

struct Due {
    id: ReminderId,
    tenant: TenantId,
    account: AccountId,
    name: String,
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
    misfire: Misfire,
    catchup_window_s: i32,
    overlap: Overlap,
    fire_at: DateTime<Utc>,
    last_fired_at: Option<DateTime<Utc>>,
    tzdb_version: Option<String>,
    now: DateTime<Utc>,
    /// Its account is being deleted, and the reminder with it.
    erased: bool,
    /// Its texts and targets.
    bytes: i64,
}

impl Due {
    fn stored(&self) -> Stored<'_> {
        Stored {
            start_local: self.start_local,
            start_later: self.start_later,
            timezone: &self.timezone,
            rrule: self.rrule.as_deref(),
            times: &self.times,
            exdates: &self.exdates,
            on_gap: self.on_gap,
            window: Window::stored(self.window_end, self.window_start_min, self.window_end_min),
        }
    }
}

/// What is left of a reminder after an event.
enum Next {
    Rearmed(DateTime<Utc>),
    Ended,
    Failed(String),
}

/// Fires up to `limit` due reminders of all tenants, the longest overdue first: runs and their targets are written and the
/// reminder re-armed in one transaction (R03, R45). Any number of schedulers may do this at once.
///
/// Of occurrences that came due while no scheduler ran, those fire that the reminder's `misfire` and `catchup_window_s`
/// let through; of the others the first ten have a run `missed` each, and an event tells of all. The next occurrence lies
/// in the future again. What was planned with older zone data than this program's, and is not due by today's, does not fire.
/// What belongs to an account that is being deleted is disarmed without a word. Where texts are long, fewer fire at once.
///
/// # Errors
/// When the database does not do it; nothing is fired then.
pub async fn fire_due(db: &PgPool, limit: i64) -> Result<Firing> {
    let step = trace::write(Destination::Runs);
    let firing = fire(db, limit, &step).await;
    step.heard(&firing);
    firing
}

async fn fire(db: &PgPool, limit: i64, step: &trace::Step) -> Result<Firing> {
    let mut transaction = db.begin().await?;
    let mut due = lock_due(&mut transaction, limit).await?;
    if due.is_empty() {
        return Ok(Firing::default());
    }
    due.truncate(page::fit(due.iter().map(|due| due.bytes), limit));
    let (erased, mut due): (Vec<Due>, Vec<Due>) = due.into_iter().partition(|due| due.erased);
    disarm(&mut transaction, &erased).await?;
    zone_data::replan(&mut due).write(&mut transaction).await?;
    let open = fire::open_runs(&mut transaction, &due).await?;
    let sorted: Vec<Sorted> = due.iter().map(|due| sort(due).beside(due.overlap, open.count(due.id))).collect();
    let runs = fire::insert_runs(&mut transaction, &due, &sorted).await?;
    let next: Vec<Next> = due.iter().zip(&sorted).map(|(due, sorted)| Next::after(due.id, &sorted.next)).collect();
    rearm(&mut transaction, &due, &next, &sorted).await?;
    fire::tell(&mut transaction, &due, &next, &sorted, &runs).await?;
    transaction.commit().await?;
    fire::measure(&due, &runs);
    let fired = runs.iter().filter(|run| run.missed.is_none()).map(|run| {
        let due = &due[run.due];
        Fired { run: run.id, account: due.account, tenant: due.tenant, trace: run.trace() }
    });
    let fired: Vec<Fired> = fired.collect();
    let step = step.clone().batch(fired.len());
    step.follows_all(fired.iter().filter_map(|fired| fired.trace.as_deref()));
    let seen = erased.len() + due.len();
    Ok(Firing { due: seen, fired, tenants: due.iter().map(|due| due.tenant).collect() })
}

/// How long until the next occurrence of any tenant is due; zero when one is, none when none is armed.
///
/// # Errors
/// When the database does not answer.
pub async fn next_due_in(db: &PgPool) -> Result<Option<Duration>> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT extract(epoch FROM min(next_fire_at) - clock_timestamp())::double precision FROM reminders
           WHERE next_fire_at IS NOT NULL"#
    )
    .fetch_one(db)
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)))
}

async fn lock_due(transaction: &mut PgConnection, limit: i64) -> Result<Vec<Due>> {
    let due = sqlx::query_as!(
        Due,
        r#"
        SELECT id AS "id: ReminderId", tenant_id AS "tenant: TenantId", account_id AS "account: AccountId",
               name, start_local, start_later, timezone, rrule, times, exdates, on_gap AS "on_gap: OnGap", window_end,
               window_start_min, window_end_min, misfire AS "misfire: Misfire",
               catchup_window_s, overlap AS "overlap: Overlap", next_fire_at AS "fire_at!", last_fired_at,
               tzdb_version, now() AS "now!",
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
    Ok(due)
}

/// They fire no more; their account's end removes them.
async fn disarm(transaction: &mut PgConnection, erased: &[Due]) -> Result<()> {
    if !erased.is_empty() {
        let ids: Vec<Uuid> = erased.iter().map(|due| due.id.0).collect();
        sqlx::query!("UPDATE reminders SET next_fire_at = NULL WHERE id = ANY($1)", &ids).execute(transaction).await?;
    }
    Ok(())
}

/// Which of the occurrences due fire, and what comes after. A rule that can't be computed, or panics, ends its reminder and
/// not the tick: what was due by then fires.
fn sort(due: &Due) -> Sorted {
    let window = TimeDelta::seconds(due.catchup_window_s.into());
    let steps = Cell::new(0_u32);
    let schedule = Schedule::read(&due.stored());
    catch_up::sort(
        due.fire_at,
        due.now,
        (due.misfire, window),
        // what fires once has fired, whatever its clocks say by now
        |after| {
            if due.rrule.is_none() {
                return Ok(None);
            }
            let (next, taken) = following(&schedule, after)?;
            steps.set(steps.get().saturating_add(taken));
            Ok(next)
        },
        || steps.get() > STEPS,
    )
}

/// The first occurrence of a reminder strictly after an instant, if its schedule could be read.
fn next_after(
    schedule: &std::result::Result<Schedule, schedule::Error>,
    after: DateTime<Utc>,
) -> std::result::Result<Option<DateTime<Utc>>, schedule::Error> {
    Ok(following(schedule, after)?.0)
}

/// The same, and the steps that it cost.
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

async fn rearm(transaction: &mut PgConnection, due: &[Due], next: &[Next], sorted: &[Sorted]) -> Result<()> {
    let reminders: Vec<Uuid> = due.iter().map(|due| due.id.0).collect();
    let statuses: Vec<String> = next.iter().map(|next| next.status().to_owned()).collect();
    let times: Vec<Option<DateTime<Utc>>> = next.iter().map(Next::fire_at).collect();
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
    /// What lies ahead, by the reminder's schedule.
    fn after(reminder: ReminderId, next: &std::result::Result<Option<DateTime<Utc>>, schedule::Error>) -> Self {
        match next {
            Ok(Some(at)) => Self::Rearmed(*at),
            Ok(None) => Self::Ended,
            Err(error) => {
                tracing::error!(%reminder, %error, "the reminder can't be armed again");
                Self::Failed(error.to_string())
            }
        }
    }

    fn ahead(&self) -> Ahead {
        match self {
            Self::Rearmed(_) => Ahead::Next,
            Self::Ended => Ahead::Nothing,
            Self::Failed(_) => Ahead::Broken,
        }
    }

    /// The status after firing.
    fn status(&self) -> &'static str {
        let state = life::State { status: life::Status::Active, by_tenant: false };
        life::decide(state, life::Event::Fired, self.ahead()).unwrap_or(state).status.as_str()
    }

    fn fire_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Rearmed(at) => Some(*at),
            Self::Ended | Self::Failed(_) => None,
        }
    }
}
