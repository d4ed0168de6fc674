//! Runs as a tenant sees them: the history of reminders. It stays when a reminder is deleted.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::scope::{Of, Within};
use domain::id::{AccountId, ReminderId, RunId};
use domain::run::{Status, TargetState};

/// One firing of a reminder.
#[derive(Clone)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The reminder; `None` if it is deleted.
    pub reminder_id: Option<ReminderId>,
    /// The account; `None` if it is deleted.
    pub account_id: Option<AccountId>,
    /// The reminder's name at that time.
    pub reminder_name: String,
    /// The account's label at that time.
    pub account_label: String,
    /// The computed time of the occurrence.
    pub fire_at: DateTime<Utc>,
    /// The status.
    pub status: Status,
    /// The status in words.
    pub summary: Option<String>,
    /// The number of targets that were sent.
    pub sent: i64,
    /// The number of all targets.
    pub total: i64,
    /// When it fired.
    pub created_at: DateTime<Utc>,
    /// When it was resumed after a pause.
    pub resumed_at: Option<DateTime<Utc>>,
    /// When it finished.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A target of a run.
#[derive(Clone)]
pub struct Target {
    /// The chat's address.
    pub chat: String,
    /// The state.
    pub state: TargetState,
    /// Why it was not sent, in words for a person.
    pub reason: Option<String>,
    /// When it finished.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Filters for a list of runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Only those of this reminder.
    pub reminder: Option<ReminderId>,
    /// Only those of this account.
    pub account: Option<AccountId>,
    /// Only those with this status.
    pub status: Option<Status>,
    /// Only occurrences at or after this.
    pub since: Option<DateTime<Utc>>,
    /// Only occurrences before this.
    pub until: Option<DateTime<Utc>>,
    /// Only those before this position in the list.
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// A page of a tenant's runs, newest first.
///
/// # Errors
/// If the database fails.
pub async fn list(of: Of<'_>, filter: Filter, limit: i64) -> Result<Vec<Run>> {
    let Of { pool: _db, tenant: _, .. } = of;
    read(of, None, filter, limit).await
}

/// Checks that the tenant has this reminder.
///
/// # Errors
/// [`Error::NotFound`] if it has not.
pub async fn reminder_is_there(of: Of<'_>, reminder: ReminderId) -> Result<()> {
    let Of { pool: db, tenant, .. } = of;
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM reminders WHERE tenant_id = $1 AND id = $2) AS "known!""#,
        tenant.0,
        reminder.0
    );
    if known.fetch_one(db).await? { Ok(()) } else { Err(Error::NotFound) }
}

async fn read(of: impl Into<Within<'_>>, run: Option<RunId>, filter: Filter, limit: i64) -> Result<Vec<Run>> {
    let (mut db, tenant) = of.into().acquire().await?;
    let (at, id) = filter.before.unzip();
    let runs = sqlx::query_as!(
        Run,
        r#"
        SELECT r.id AS "id: RunId", r.reminder_id AS "reminder_id: ReminderId", r.account_id AS "account_id: AccountId",
            r.reminder_name, r.account_label, r.fire_at, r.status AS "status: Status", r.summary,
            t.sent AS "sent!", t.total AS "total!", r.created_at, r.resumed_at, r.finished_at
        FROM runs r CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE state = 'sent') AS sent, count(*) AS total FROM run_targets WHERE run_id = r.id) t
        WHERE r.tenant_id = $1 AND ($2::uuid IS NULL OR r.id = $2) AND ($3::uuid IS NULL OR r.reminder_id = $3)
          AND ($4::uuid IS NULL OR r.account_id = $4) AND ($5::text IS NULL OR r.status = $5)
          AND ($6::timestamptz IS NULL OR r.fire_at >= $6) AND ($7::timestamptz IS NULL OR r.fire_at < $7)
          AND ($8::timestamptz IS NULL OR (r.fire_at, r.id) < ($8, $9::uuid))
        ORDER BY r.fire_at DESC, r.id DESC LIMIT $10
        "#,
        tenant.0,
        run.map(|run| run.0),
        filter.reminder.map(|reminder| reminder.0),
        filter.account.map(|account| account.0),
        filter.status.map(Status::as_str),
        filter.since,
        filter.until,
        at,
        id,
        limit
    )
    .fetch_all(&mut *db)
    .await?;
    Ok(runs)
}

/// A run, its texts at the time of firing, and its targets in order. Lists leave out both, since they may be long.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such run.
pub async fn get(of: impl Into<Within<'_>>, run: RunId) -> Result<(Run, Vec<String>, Vec<Target>)> {
    let (mut db, tenant) = of.into().acquire().await?;
    let found =
        read(Within::of(&mut db, tenant), Some(run), Filter::default(), 1).await?.pop().ok_or(Error::NotFound)?;
    let texts = sqlx::query_scalar!("SELECT bodies FROM runs WHERE tenant_id = $1 AND id = $2", tenant.0, run.0)
        .fetch_optional(&mut *db)
        .await?
        .ok_or(Error::NotFound)?;
    let targets = sqlx::query_as!(
        Target,
        r#"
        SELECT chat, state AS "state: TargetState", reason, finished_at
        FROM run_targets WHERE tenant_id = $1 AND run_id = $2 ORDER BY position
        "#,
        tenant.0,
        run.0
    )
    .fetch_all(&mut *db)
    .await?;
    Ok((found, texts, targets))
}
