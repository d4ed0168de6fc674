//! Runs, as they are answered.

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
    /// The reminder; null once that is deleted.
    pub reminder_id: Option<ReminderId>,
    /// The account; null once that is deleted.
    pub account_id: Option<AccountId>,
    /// What the reminder was called.
    pub reminder_name: String,
    /// What the account was called.
    pub account_label: String,
    /// The occurrence, as it was computed.
    pub fire_at: DateTime<Utc>,
    /// How far it is.
    pub status: Status,
    /// The same in words.
    pub summary: Option<String>,
    /// How many of its targets have been sent.
    pub sent: i64,
    /// How many targets it has.
    pub total: i64,
    /// When it fired.
    pub created_at: DateTime<Utc>,
    /// When somebody let it go on after a pause.
    pub resumed_at: Option<DateTime<Utc>>,
    /// When it was over.
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

/// What became of one target of a run.
#[derive(Serialize, ToSchema)]
pub struct Target {
    /// The chat's address.
    pub chat: String,
    /// How far it is.
    pub state: TargetState,
    /// Why it was not sent, in words for a person.
    pub reason: Option<String>,
    /// When it was over.
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
    /// The texts as they were when it fired; none of an occurrence that was missed.
    messages: Vec<String>,
    /// What became of each target, in order.
    targets: Vec<Target>,
}

impl From<(runs::Run, Vec<String>, Vec<runs::Target>)> for RunWithTargets {
    fn from((run, messages, targets): (runs::Run, Vec<String>, Vec<runs::Target>)) -> Self {
        Self { run: run.into(), messages, targets: targets.into_iter().map(Target::from).collect() }
    }
}

/// How much history was cleared.
#[derive(Serialize, ToSchema)]
pub struct Cleared {
    /// Runs that were removed.
    pub removed: u64,
}
