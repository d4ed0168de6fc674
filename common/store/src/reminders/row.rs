//! Reminders as a tenant sees them: create, list, read, delete.
//!
//! Lock order, as when a run is expanded: the reminder's runs first, then the reminder.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use super::wake::wake;
use crate::error::{Error, Result};
use crate::page::{self, Listed};
use crate::runs::supersede::{Locked, cancel_open};
use crate::scope::{Of, Within};
use domain::committed::Committed;
use domain::conflict::Conflict;
use domain::id::{AccountId, ReminderId, TenantId};
pub use domain::reminder::life::Status;
use domain::reminder::{Misfire, Overlap};
use schedule::zone;
use schedule::{OnGap, Window};

/// A reminder as it is stored.
#[derive(Clone)]
pub struct Reminder {
    /// Its id.
    pub id: ReminderId,
    /// The account that sends it.
    pub account_id: AccountId,
    /// The name that people gave it.
    pub name: String,
    /// The status.
    pub status: Status,
    /// The IANA zone of its times.
    pub timezone: String,
    /// The start in wall-clock time of the zone.
    pub start_local: NaiveDateTime,
    /// Whether clocks show the start twice and the later time is meant.
    pub start_later: bool,
    /// The rule; `None`: fires once.
    pub rrule: Option<String>,
    /// Times of day in minutes from midnight that the rule does not contain.
    pub times: Vec<i16>,
    /// Dates and wall-clock times that are excluded from the rule.
    pub exdates: Vec<String>,
    /// What becomes of times that clocks skip.
    pub on_gap: OnGap,
    /// The hour at which sending stops, for earlier releases; see [`Reminder::window`].
    pub window_end: Option<i16>,
    /// The beginning of the window, in minutes from midnight.
    pub window_start_min: Option<i16>,
    /// The end of the window, in minutes from midnight.
    pub window_end_min: Option<i16>,
    /// What becomes of late occurrences.
    pub misfire: Misfire,
    /// How late an occurrence may still fire, in seconds.
    pub catchup_window_s: i32,
    /// What becomes of an occurrence while the previous run is in progress.
    pub overlap: Overlap,
    /// Increased by each edit.
    pub version: i32,
    /// When it fires next.
    pub next_fire_at: Option<DateTime<Utc>>,
    /// When it last fired.
    pub last_fired_at: Option<DateTime<Utc>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// The texts, in order.
    pub messages: Vec<String>,
    /// The chats, in order.
    pub targets: Vec<String>,
}

/// What a tenant decides about a reminder, after checks.
#[derive(Clone)]
pub struct Plan {
    /// The account that sends it.
    pub account: AccountId,
    /// The name that people gave it.
    pub name: String,
    /// The IANA zone of its times.
    pub timezone: String,
    /// The start in wall-clock time of the zone.
    pub start_local: NaiveDateTime,
    /// Whether clocks show the start twice and the later time is meant.
    pub start_later: bool,
    /// The rule; `None`: fires once.
    pub rrule: Option<String>,
    /// Times of day in minutes from midnight that the rule does not contain.
    pub times: Vec<i16>,
    /// Dates and wall-clock times that are excluded from the rule.
    pub exdates: Vec<String>,
    /// What becomes of times that clocks skip.
    pub on_gap: OnGap,
    /// The structured recurrence from which the rule was built, if there was one.
    pub recurrence: Option<Value>,
    /// The delivery window.
    pub window: Option<Window>,
    /// What becomes of late occurrences.
    pub misfire: Misfire,
    /// How late an occurrence may still fire, in seconds.
    pub catchup_window_s: i32,
    /// What becomes of an occurrence while the previous run is in progress.
    pub overlap: Overlap,
    /// The first fire under this plan.
    pub next_fire_at: DateTime<Utc>,
    /// The texts, in order.
    pub messages: Vec<String>,
    /// The chats in canonical form, in order and without duplicates.
    pub targets: Vec<String>,
    /// The occurrence of the last minute that the first fire stands in for, and the occurrence after it. If a reminder
    /// that was deleted meanwhile has sent the same, it is not sent again.
    pub stands_for: Option<(DateTime<Utc>, Option<DateTime<Utc>>)>,
    /// The version that the editor has read; `None`: the edit applies to any version.
    pub expected: Option<i32>,
}

/// Creates a reminder and arms it.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account; [`Error::Conflict`] if a deleted reminder sent all that it
/// would send a moment ago.
pub async fn create(of: impl Into<Within<'_>>, plan: &Plan) -> Result<Reminder> {
    let (mut db, tenant) = of.into().acquire().await?;
    let mut transaction = db.begin().await?;
    let next_fire_at = first_fire(&mut transaction, tenant, plan).await?;
    let reminder = ReminderId::new();
    let created = sqlx::query!(
        "INSERT INTO reminders (id, tenant_id, account_id, name, timezone, start_local, rrule, recurrence, window_end,
             next_fire_at, misfire, catchup_window_s, overlap, exdates, on_gap, tzdb_version, start_later, times,
             window_start_min, window_end_min)
         SELECT $1, $2, id, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20 FROM accounts
         WHERE tenant_id = $2 AND id = $3 AND wanted <> 'erased'",
        reminder.0,
        tenant.0,
        plan.account.0,
        plan.name,
        plan.timezone,
        plan.start_local,
        plan.rrule,
        plan.recurrence,
        plan.window.map(Window::hour),
        next_fire_at,
        plan.misfire.as_str(),
        plan.catchup_window_s,
        plan.overlap.as_str(),
        &plan.exdates,
        plan.on_gap.as_str(),
        zone::data_version(),
        plan.start_later,
        &plan.times,
        plan.window.map(Window::start),
        plan.window.map(Window::end)
    )
    .execute(&mut *transaction)
    .await?;
    if created.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    write_content(&mut transaction, tenant, reminder, plan).await?;
    wake(&mut transaction).await?;
    let created = get(Within::of(&mut transaction, tenant), reminder).await?;
    transaction.commit().await?;
    Ok(created)
}

/// The first fire of a new reminder. An occurrence for which a deleted reminder has handed over the same texts does not
/// fire again.
async fn first_fire(transaction: &mut PgConnection, tenant: TenantId, plan: &Plan) -> Result<DateTime<Utc>> {
    let Some((due, next)) = plan.stands_for else { return Ok(plan.next_fire_at) };
    let was_sent = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM runs r WHERE r.tenant_id = $1 AND r.account_id = $2 AND r.reminder_id IS NULL AND r.fire_at >= $3
                 AND r.bodies = $4::text[] AND EXISTS (
                     SELECT FROM messages m WHERE m.run_id = r.id AND m.chat = ANY($5)
                       AND (m.state IN ('sent', 'delivered', 'read') OR m.handed_at IS NOT NULL))) AS "was_sent!""#,
        tenant.0,
        plan.account.0,
        due,
        &plan.messages,
        &plan.targets
    )
    .fetch_one(transaction)
    .await?;
    match next {
        _ if !was_sent => Ok(plan.next_fire_at),
        Some(next) => Ok(next),
        None => Err(Conflict::ReminderJustSent.into()),
    }
}

/// The database's clock, by which reminders fire.
///
/// # Errors
/// If the database fails.
pub async fn now(of: impl Into<Within<'_>>) -> Result<DateTime<Utc>> {
    let (mut db, _) = of.into().acquire().await?;
    Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&mut *db).await?)
}

/// Deletes a reminder. Nothing that is pending fires any more. The history of its runs stays.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such reminder.
pub async fn delete(of: Of<'_>, reminder: ReminderId) -> Result<Committed<()>> {
    let Of { pool: db, tenant, .. } = of;
    crate::retry::again(|| try_delete(db, tenant, reminder)).await?;
    Ok(Committed::new(()).signal([tenant]))
}

async fn try_delete(db: &PgPool, tenant: TenantId, reminder: ReminderId) -> Result<()> {
    let mut transaction = db.begin().await?;
    let reason = "the reminder was deleted";
    cancel_open(&mut transaction, tenant, reminder, Locked::Wait, reason).await?;
    let disarmed = sqlx::query!(
        "UPDATE reminders SET next_fire_at = NULL, version = version + 1 WHERE tenant_id = $1 AND id = $2",
        tenant.0,
        reminder.0
    );
    if disarmed.execute(&mut *transaction).await?.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    cancel_open(&mut transaction, tenant, reminder, Locked::Skip, reason).await?;
    sqlx::query!("DELETE FROM reminders WHERE tenant_id = $1 AND id = $2", tenant.0, reminder.0)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// One reminder.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such reminder.
pub async fn get(of: impl Into<Within<'_>>, reminder: ReminderId) -> Result<Reminder> {
    let found = read(of, &[reminder.0]).await?;
    found.into_iter().next().ok_or(Error::NotFound)
}

/// Filters for a list of reminders.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Only those with this status.
    pub status: Option<Status>,
    /// Only those of this account.
    pub account: Option<AccountId>,
    /// Only those after this position.
    pub after: Option<(DateTime<Utc>, Uuid)>,
}

/// A page of a tenant's reminders, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn list(of: Of<'_>, filter: Filter, limit: i64) -> Result<Listed<Reminder, (DateTime<Utc>, Uuid)>> {
    let Of { pool: db, tenant, .. } = of;
    let (at, id) = filter.after.unzip();
    let found = sqlx::query!(
        r#"
        SELECT id, created_at,
            (SELECT coalesce(sum(octet_length(body)), 0) FROM reminder_messages m WHERE m.reminder_id = r.id)
            + (SELECT coalesce(sum(octet_length(chat)), 0) FROM reminder_targets t WHERE t.reminder_id = r.id) AS "bytes!"
        FROM reminders r
        WHERE tenant_id = $1 AND ($2::text IS NULL OR status = $2) AND ($3::uuid IS NULL OR account_id = $3)
          AND ($4::timestamptz IS NULL OR (created_at, id) > ($4, $5::uuid))
          AND EXISTS (SELECT FROM accounts a WHERE a.id = r.account_id AND a.wanted <> 'erased')
        ORDER BY created_at, id LIMIT $6
        "#,
        tenant.0,
        filter.status.map(Status::as_str),
        filter.account.map(|account| account.0),
        at,
        id,
        limit + 1
    )
    .fetch_all(db)
    .await?;
    let fits = page::fit(found.iter().map(|row| row.bytes), limit);
    let next = page::next(&found, fits).map(|row| (row.created_at, row.id));
    let shown: Vec<Uuid> = found.iter().take(fits).map(|row| row.id).collect();
    Ok(Listed { rows: read(of, &shown).await?, next })
}

pub(super) async fn read(of: impl Into<Within<'_>>, reminders: &[Uuid]) -> Result<Vec<Reminder>> {
    let (mut db, tenant) = of.into().acquire().await?;
    let reminders = sqlx::query_as!(
        Reminder,
        r#"
        SELECT id AS "id: ReminderId", account_id AS "account_id: AccountId", name, status AS "status: Status", timezone,
            start_local, start_later, rrule, times, exdates, on_gap AS "on_gap: OnGap", window_end, window_start_min,
            window_end_min, misfire AS "misfire: Misfire",
            catchup_window_s, overlap AS "overlap: Overlap", version + renamed AS "version!", next_fire_at, last_fired_at, created_at, updated_at,
            ARRAY(SELECT m.body FROM reminder_messages m WHERE m.reminder_id = r.id ORDER BY m.position) AS "messages!",
            ARRAY(SELECT t.chat FROM reminder_targets t WHERE t.reminder_id = r.id ORDER BY t.position) AS "targets!"
        FROM reminders r
        WHERE tenant_id = $1 AND id = ANY($2)
          AND EXISTS (SELECT FROM accounts a WHERE a.id = r.account_id AND a.wanted <> 'erased')
        ORDER BY created_at, id
        "#,
        tenant.0,
        reminders
    )
    .fetch_all(&mut *db)
    .await?;
    Ok(reminders)
}

pub(super) async fn write_content(
    transaction: &mut PgConnection,
    tenant: TenantId,
    reminder: ReminderId,
    plan: &Plan,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO reminder_messages (tenant_id, reminder_id, position, body)
         SELECT $1, $2, place::int, body FROM unnest($3::text[]) WITH ORDINALITY AS given (body, place)",
        tenant.0,
        reminder.0,
        &plan.messages
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "INSERT INTO reminder_targets (tenant_id, reminder_id, position, chat)
         SELECT $1, $2, place::int, chat FROM unnest($3::text[]) WITH ORDINALITY AS given (chat, place)",
        tenant.0,
        reminder.0,
        &plan.targets
    )
    .execute(transaction)
    .await?;
    Ok(())
}
