//! Groups in answers of the API.

use chrono::{DateTime, Utc};
use serde::Serialize;
use store::groups;
use utoipa::ToSchema;

/// A group.
#[derive(Debug, Serialize, ToSchema)]
pub struct Group {
    /// Its address, as `to` of a message accepts it.
    #[schema(example = "120363041234567890@g.us")]
    pub jid: String,
    /// Its name.
    pub subject: String,
    /// The number of members.
    pub size: i32,
    /// Whether this account may write to it.
    pub can_post: bool,
    /// When it was last read from WhatsApp.
    pub synced_at: DateTime<Utc>,
}

impl From<groups::Group> for Group {
    fn from(row: groups::Group) -> Self {
        Self { jid: row.jid, subject: row.subject, size: row.size, can_post: row.can_post, synced_at: row.synced_at }
    }
}

/// A sync that was requested.
#[derive(Serialize, ToSchema)]
pub struct Syncing {
    /// Always `syncing`.
    #[schema(example = "syncing")]
    pub status: &'static str,
}
