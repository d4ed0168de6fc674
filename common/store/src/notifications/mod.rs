//! Notifications: what a person is told about reminders and their runs, and what of it was read.

pub(crate) mod notices;

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::scope::{ForAllTenants, Of};
use domain::id::{ReminderId, RunId};
use domain::run::notice::Kind;

/// One notification.
#[derive(Clone)]
pub struct Notification {
    /// Its id.
    pub id: Uuid,
    /// What it is about.
    pub kind: Kind,
    /// The reminder, which may be gone.
    pub reminder_id: Option<ReminderId>,
    /// What the reminder was called.
    pub reminder_name: String,
    /// The run, which may be gone; for missed occurrences the first of them.
    pub run_id: Option<RunId>,
    /// The words.
    pub body: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was read.
    pub read_at: Option<DateTime<Utc>>,
}

/// A page of a tenant's notifications, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    of: Of<'_>,
    unread: bool,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Notification>> {
    let Of { pool: db, tenant } = of;
    let (at, id) = before.unzip();
    let notifications = sqlx::query_as!(
        Notification,
        r#"
        SELECT id, kind AS "kind: Kind", reminder_id AS "reminder_id: ReminderId", reminder_name,
            run_id AS "run_id: RunId", body, created_at, read_at
        FROM notifications
        WHERE tenant_id = $1 AND (NOT $2 OR read_at IS NULL)
          AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::uuid))
        ORDER BY created_at DESC, id DESC LIMIT $5
        "#,
        tenant.0,
        unread,
        at,
        id,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(notifications)
}

/// Notes that a notification was read; the first time counts.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such notification.
pub async fn read(of: Of<'_>, notification: Uuid) -> Result<()> {
    let Of { pool: db, tenant } = of;
    let read = sqlx::query!(
        "UPDATE notifications SET read_at = coalesce(read_at, now()) WHERE tenant_id = $1 AND id = $2",
        tenant.0,
        notification
    )
    .execute(db)
    .await?;
    if read.rows_affected() == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Notes that everything was read; answers how many were not yet.
///
/// # Errors
/// When the database does not do it.
pub async fn read_all(of: Of<'_>) -> Result<u64> {
    let Of { pool: db, tenant } = of;
    let read =
        sqlx::query!("UPDATE notifications SET read_at = now() WHERE tenant_id = $1 AND read_at IS NULL", tenant.0);
    Ok(read.execute(db).await?.rows_affected())
}

/// Removes up to `limit` notifications older than `age`, read or not; answers how many.
///
/// # Errors
/// When the database does not do it.
pub async fn prune(all: ForAllTenants<'_>, age: Duration, limit: i64) -> Result<u64> {
    let ForAllTenants { pool: db } = all;
    let removed = sqlx::query!(
        "DELETE FROM notifications WHERE id IN (
             SELECT id FROM notifications WHERE created_at < now() - make_interval(secs => $1) ORDER BY created_at LIMIT $2)",
        age.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected())
}
