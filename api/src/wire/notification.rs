//! Notifications in answers of the API.

use chrono::{DateTime, Utc};
use domain::id::{ReminderId, RunId};
use domain::run::notice::Kind;
use serde::Serialize;
use store::notifications;
use utoipa::ToSchema;
use uuid::Uuid;

/// One notification.
#[derive(Serialize, ToSchema)]
pub struct Notification {
    /// Its id.
    pub id: Uuid,
    /// Its kind.
    pub kind: Kind,
    /// The reminder, which may be deleted.
    pub reminder_id: Option<ReminderId>,
    /// What the reminder was called.
    pub reminder_name: String,
    /// The run, which may be deleted. For missed occurrences, the run of the first one.
    pub run_id: Option<RunId>,
    /// The text.
    #[schema(example = "3 of 12 groups delivered. Resume or cancel.")]
    pub body: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was read.
    pub read_at: Option<DateTime<Utc>>,
}

impl From<notifications::Notification> for Notification {
    fn from(row: notifications::Notification) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            reminder_id: row.reminder_id,
            reminder_name: row.reminder_name,
            run_id: row.run_id,
            body: row.body,
            created_at: row.created_at,
            read_at: row.read_at,
        }
    }
}

/// The result of marking all notifications as read.
#[derive(Serialize, ToSchema)]
pub struct Read {
    /// The number of those that were unread before.
    pub read: u64,
}
