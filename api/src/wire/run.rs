//! Runs in answers of the API.

use chrono::{DateTime, Utc};
use domain::id::{AccountId, ReminderId, RunId};
use domain::run::{Status, TargetState};
use serde::Serialize;
use store::runs;
use utoipa::ToSchema;

/// One firing of a reminder.
#[derive(Serialize, ToSchema)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The reminder; null if it was deleted.
    pub reminder_id: Option<ReminderId>,
    /// The account; null if it was deleted.
    pub account_id: Option<AccountId>,
    /// What the reminder was called.
    pub reminder_name: String,
    /// What the account was called.
    pub account_label: String,
    /// The time of the occurrence, as it was computed.
    pub fire_at: DateTime<Utc>,
    /// Its status.
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
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<runs::Run> for Run {
    fn from(row: runs::Run) -> Self {
        Self {
            id: row.id,
            reminder_id: row.reminder_id,
            account_id: row.account_id,
            reminder_name: row.reminder_name,
            account_label: row.account_label,
            fire_at: row.fire_at,
            status: row.status,
            summary: row.summary,
            sent: row.sent,
            total: row.total,
            created_at: row.created_at,
            resumed_at: row.resumed_at,
            finished_at: row.finished_at,
        }
    }
}

/// One target of a run, with its result.
#[derive(Serialize, ToSchema)]
pub struct Target {
    /// The chat's address.
    pub chat: String,
    /// Its state.
    pub state: TargetState,
    /// Why it was not sent, in words for a person.
    pub reason: Option<String>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<runs::Target> for Target {
    fn from(row: runs::Target) -> Self {
        Self { chat: row.chat, state: row.state, reason: row.reason, finished_at: row.finished_at }
    }
}

/// A run with its texts and targets.
#[derive(Serialize, ToSchema)]
pub struct RunWithTargets {
    #[serde(flatten)]
    run: Run,
    /// The texts as they were when it fired; none if the occurrence was missed.
    messages: Vec<String>,
    /// The targets with their results, in order.
    targets: Vec<Target>,
}

impl From<(runs::Run, Vec<String>, Vec<runs::Target>)> for RunWithTargets {
    fn from((run, messages, targets): (runs::Run, Vec<String>, Vec<runs::Target>)) -> Self {
        Self { run: run.into(), messages, targets: targets.into_iter().map(Target::from).collect() }
    }
}

/// The result of clearing the history.
#[derive(Serialize, ToSchema)]
pub struct Cleared {
    /// The number of runs that were removed.
    pub removed: u64,
}
