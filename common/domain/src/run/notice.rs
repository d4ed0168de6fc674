//! Pure. What a person is told about reminders and their runs: the kinds and the words.

use chrono::{DateTime, Timelike as _, Utc};
use serde::{Deserialize, Serialize};

use super::{Status, Tally};
use schedule::zone::{Local, Tz};

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", schema(as = NotificationKind))]
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
pub fn fired(at: DateTime<Utc>, timezone: &str) -> String {
    format!("Fired for {}.", moment(at, timezone))
}

/// What is told when a run rests or ends; none: nothing to tell, it went well or was called back. A run that failed with
/// targets pending is one whose delivery window closed: its reminder rests.
#[must_use]
pub fn ended(status: Status, tally: Tally, chats: Chats) -> Option<(Kind, String)> {
    let delivered = format!("{} of {} {} delivered", tally.sent, tally.total(), chats.noun(tally.total()));
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
pub fn missed(count: usize, more: bool, (first, timezone): (DateTime<Utc>, &str), reason: &str) -> String {
    let first = moment(first, timezone);
    match (count, more) {
        (1, false) => format!("The occurrence of {first} was not sent: {reason}."),
        (count, false) => format!("{count} occurrences since {first} were not sent: {reason}."),
        (count, true) => format!("At least {count} occurrences since {first} were not sent: {reason}."),
    }
}

/// An instant as people read it, on the clocks of a reminder's zone: `Monday, 2 November 2026, 09:00 (Europe/Berlin)`. Of two equal
/// times each says how its clocks are called.
#[must_use]
pub fn moment(at: DateTime<Utc>, timezone: &str) -> String {
    let tz: Tz = timezone.parse().unwrap_or(Tz::UTC);
    let local = at.with_timezone(&tz);
    let seconds = if local.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    let twice = if matches!(tz.local(local.naive_local()), Local::Twice(..)) { " %Z" } else { "" };
    format!("{} ({tz})", local.format(&format!("%A, %-d %B %Y, {seconds}{twice}")))
}

/// What the targets of a run are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chats {
    /// Groups alone.
    Groups,
    /// People alone.
    People,
    /// Both.
    Mixed,
}

impl Chats {
    /// Of so many targets, this many of which are groups.
    #[must_use]
    pub fn of(groups: usize, total: usize) -> Self {
        match groups {
            0 => Self::People,
            groups if groups == total => Self::Groups,
            _ => Self::Mixed,
        }
    }

    fn noun(self, count: usize) -> &'static str {
        match (self, count) {
            (Self::Groups, 1) => "group",
            (Self::Groups, _) => "groups",
            (Self::People, 1) => "person",
            (Self::People, _) => "people",
            (Self::Mixed, 1) => "chat",
            (Self::Mixed, _) => "chats",
        }
    }
}

fn rest(tally: Tally) -> String {
    let parts = [(tally.failed, "failed"), (tally.skipped, "skipped"), (tally.pending, "not tried")];
    parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!(", {count} {word}")).collect()
}
