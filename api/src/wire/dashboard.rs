//! What a tenant sees first, as it is answered.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::run::Run;

/// Counts, and what ran last.
#[derive(Serialize, ToSchema)]
pub struct Dashboard {
    /// Accounts.
    pub accounts: Counts,
    /// Reminders.
    pub reminders: Counts,
    /// Notifications that nobody has read.
    pub unread_notifications: i64,
    /// The newest runs, at most ten.
    pub recent_runs: Vec<Run>,
}

/// How many there are, and how they stand.
#[derive(Serialize, ToSchema)]
pub struct Counts {
    /// All of them.
    pub total: i64,
    /// By status; each status is there.
    #[schema(example = json!({"active": 3, "paused": 1, "failed": 0, "ended": 12}))]
    pub by_status: BTreeMap<&'static str, i64>,
}

impl Counts {
    /// Each status counts, also that which nothing has.
    pub fn of(statuses: impl IntoIterator<Item = &'static str>, rows: &[(&'static str, i64)]) -> Self {
        let mut by_status: BTreeMap<&'static str, i64> = statuses.into_iter().map(|status| (status, 0)).collect();
        by_status.extend(rows.iter().copied());
        Self { total: rows.iter().map(|(_, count)| count).sum(), by_status }
    }
}
