//! Notifications to people about reminders and their runs, and which of them were read.

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
    /// Its kind.
    pub kind: Kind,
    /// The reminder; `None` if it is deleted.
    pub reminder_id: Option<ReminderId>,
    /// The reminder's name at that time.
    pub reminder_name: String,
    /// The run; `None` if it is deleted. For missed occurrences, the first of them.
    pub run_id: Option<RunId>,
    /// The text.
    pub body: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was read.
    pub read_at: Option<DateTime<Utc>>,
}

/// A page of a tenant's notifications, newest first.
///
/// # Errors
/// If the database fails.
pub async fn list(
    of: Of<'_>,
    unread: bool,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Notification>> {
    let Of { pool: db, tenant, .. } = of;
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

/// Marks a notification as read. The time of the first call counts.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such notification.
pub async fn read(of: Of<'_>, notification: Uuid) -> Result<()> {
    let Of { pool: db, tenant, .. } = of;
    let read = sqlx::query!(
        "UPDATE notifications SET read_at = coalesce(read_at, now()) WHERE tenant_id = $1 AND id = $2",
        tenant.0,
        notification
    )
    .execute(db)
    .await?;
    if read.rows_affected() == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Marks all notifications as read. Returns how many were unread.
///
/// # Errors
/// If the database fails.
pub async fn read_all(of: Of<'_>) -> Result<u64> {
    let Of { pool: db, tenant, .. } = of;
    let read =
        sqlx::query!("UPDATE notifications SET read_at = now() WHERE tenant_id = $1 AND read_at IS NULL", tenant.0);
    Ok(read.execute(db).await?.rows_affected())
}

/// Removes up to `limit` notifications older than `age`, read or unread. Returns how many.
///
/// # Errors
/// If the database fails.
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
