//! Pure. Notifications about reminders and their runs: their kinds and texts.

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
    /// The delivery window of a run closed. The run waits for a decision.
    Paused,
    /// A run ended with some targets sent and some not.
    Partial,
    /// A run ended with nothing sent, or a reminder can't go on.
    Failed,
    /// Occurrences were not sent: they were too late, or the previous run was in progress.
    Missed,
}

impl Kind {
    /// The value in the database.
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

/// The text when a reminder fires.
#[must_use]
pub fn fired(at: DateTime<Utc>, timezone: &str) -> String {
    format!("Fired for {}.", moment(at, timezone))
}

/// The notification when a run is paused or ends; `None` if there is nothing to tell: it succeeded, was called back or
/// was missed. A failed run with pending targets is one whose delivery window closed, and its reminder is paused.
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

/// The text about occurrences that were not sent. `more`: there are more than `count`.
#[must_use]
pub fn missed(count: usize, more: bool, (first, timezone): (DateTime<Utc>, &str), reason: &str) -> String {
    let first = moment(first, timezone);
    match (count, more) {
        (1, false) => format!("The occurrence of {first} was not sent: {reason}."),
        (count, false) => format!("{count} occurrences since {first} were not sent: {reason}."),
        (count, true) => format!("At least {count} occurrences since {first} were not sent: {reason}."),
    }
}

/// An instant for people, in the reminder's zone: `Monday, 2 November 2026, 09:00 (Europe/Berlin)`. If clocks show the
/// time twice, the name of the clocks is added.
#[must_use]
pub fn moment(at: DateTime<Utc>, timezone: &str) -> String {
    let tz: Tz = timezone.parse().unwrap_or(Tz::UTC);
    let local = at.with_timezone(&tz);
    let seconds = if local.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    let twice = if matches!(tz.local(local.naive_local()), Local::Twice(..)) { " %Z" } else { "" };
    format!("{} ({tz})", local.format(&format!("%A, %-d %B %Y, {seconds}{twice}")))
}

/// The kinds of chats among the targets of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chats {
    /// Only groups.
    Groups,
    /// Only people.
    People,
    /// Both.
    Mixed,
}

impl Chats {
    /// The kind for `total` targets, of which `groups` are groups.
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
