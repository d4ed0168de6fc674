//! The dashboard in answers of the API.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::run::Run;

/// Counts, and the newest runs.
#[derive(Serialize, ToSchema)]
pub struct Dashboard {
    /// The accounts.
    pub accounts: Counts,
    /// The reminders.
    pub reminders: Counts,
    /// The number of unread notifications.
    pub unread_notifications: i64,
    /// The newest runs, at most ten.
    pub recent_runs: Vec<Run>,
}

/// How many there are, in total and by status.
#[derive(Serialize, ToSchema)]
pub struct Counts {
    /// The number of all of them.
    pub total: i64,
    /// The number for each status. Every status is present.
    #[schema(example = json!({"active": 3, "paused": 1, "failed": 0, "ended": 12}))]
    pub by_status: BTreeMap<&'static str, i64>,
}

impl Counts {
    /// Counts by status. A status without rows counts 0.
    pub fn of(statuses: impl IntoIterator<Item = &'static str>, rows: &[(&'static str, i64)]) -> Self {
        let mut by_status: BTreeMap<&'static str, i64> = statuses.into_iter().map(|status| (status, 0)).collect();
        by_status.extend(rows.iter().copied());
        Self { total: rows.iter().map(|(_, count)| count).sum(), by_status }
    }
}
