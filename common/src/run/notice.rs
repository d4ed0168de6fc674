//! Pure. What a person is told about reminders and their runs (R50): the kinds and the words.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::{Status, Tally};

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = NotificationKind)]
pub enum Kind {
    /// A reminder fired.
    Fired,
    /// The delivery window closed on a run: it waits for a decision.
    Paused,
    /// A run ended with some targets sent and some not.
    Partial,
    /// A run ended with nothing sent, or a reminder can't go on.
    Failed,
    /// Occurrences were not sent: too late, or while the run before was in progress.
    Missed,
}

impl Kind {
    /// The word that the row holds.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Paused => "paused",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Missed => "missed",
        }
    }
}

/// What is told when a reminder fires.
#[must_use]
pub fn fired(at: DateTime<Utc>) -> String {
    format!("Fired for {}.", instant(at))
}

/// What is told when a run rests or ends; none: nothing to tell, it went well or was called back. A run that failed with
/// targets pending is one whose delivery window closed: its reminder rests (R46).
#[must_use]
pub fn ended(status: Status, tally: Tally) -> Option<(Kind, String)> {
    let delivered = format!("{} of {} {} delivered", tally.sent, tally.total(), groups(tally.total()));
    match status {
        Status::Paused => Some((Kind::Paused, format!("{delivered}. Resume or cancel."))),
        Status::Partial => Some((Kind::Partial, format!("{delivered}{}.", rest(tally)))),
        Status::Failed if tally.pending > 0 => {
            let closed = "the delivery window closed. The reminder is paused until you resume it";
            Some((Kind::Failed, format!("{delivered}{}: {closed}.", rest(tally))))
        }
        Status::Failed => Some((Kind::Failed, format!("{delivered}{}.", rest(tally)))),
        Status::Pending | Status::Running | Status::Success | Status::Canceled | Status::Missed => None,
    }
}

/// What is told of occurrences that were not sent.
#[must_use]
pub fn missed(count: usize, more: bool, first: DateTime<Utc>, reason: &str) -> String {
    match (count, more) {
        (1, false) => format!("The occurrence of {} was not sent: {reason}.", instant(first)),
        (count, false) => format!("{count} occurrences since {} were not sent: {reason}.", instant(first)),
        (count, true) => format!("At least {count} occurrences since {} were not sent: {reason}.", instant(first)),
    }
}

/// An instant as people and programs read it.
#[must_use]
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn groups(count: usize) -> &'static str {
    if count == 1 { "group" } else { "groups" }
}

fn rest(tally: Tally) -> String {
    let parts = [(tally.failed, "failed"), (tally.skipped, "skipped"), (tally.pending, "not tried")];
    parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!(", {count} {word}")).collect()
}
