//! Pure. The end of a rule (UNTIL of RFC 5545, section 3.3.10) in all its forms.

use std::fmt::{self, Display};

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Utc};

use super::range::within_range;
use super::wall_clock::{is_steady, last_shown};
use crate::zone::Tz;

/// Wall clocks are never further from UTC than this, even where a zone skipped a whole day.
const FARTHEST: Days = Days::new(2);

/// The last time at which a rule may fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Wall-clock time in the reminder's zone.
    Wall(NaiveDateTime),
    /// An instant, in UTC.
    Utc(NaiveDateTime),
}

impl Until {
    /// Parses a date (the whole day counts), a wall-clock time, or a time in UTC. Returns `None` if the text has no
    /// such form or is out of range.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let until = if let Ok(date) = NaiveDate::parse_from_str(text, "%Y%m%d") {
            Self::Wall(date.and_time(NaiveTime::from_hms_opt(23, 59, 59)?))
        } else if let Some(utc) = text.strip_suffix('Z') {
            Self::Utc(NaiveDateTime::parse_from_str(utc, "%Y%m%dT%H%M%S").ok()?)
        } else {
            Self::Wall(NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").ok()?)
        };
        let (Self::Wall(time) | Self::Utc(time)) = until;
        Some(until).filter(|_| within_range(time.date()))
    }

    /// Converts an instant to wall-clock time in `tz`. It stays an instant if clocks change within about a day of it,
    /// since no wall-clock time means the same then.
    pub(super) fn on_the_wall(self, tz: Tz) -> Self {
        match self {
            Self::Utc(utc) if is_steady(utc.and_utc(), tz) => Self::Wall(tz.from_utc_datetime(&utc).naive_local()),
            other => other,
        }
    }

    /// The last instant at which it may fire, in `tz`.
    pub(super) fn instant(self, tz: Tz) -> DateTime<Utc> {
        match self {
            Self::Wall(local) => last_shown(local, tz),
            Self::Utc(utc) => utc.and_utc(),
        }
    }

    /// A wall-clock time in any zone after which nothing fires. Before it, [`Self::passed`] decides.
    pub(super) fn wall(self) -> NaiveDateTime {
        match self {
            Self::Wall(local) => local,
            Self::Utc(utc) => utc.checked_add_days(FARTHEST).unwrap_or(utc),
        }
    }

    /// Whether `at` is later than this end. Always false if the end is a wall-clock time.
    pub(super) fn passed(self, at: DateTime<Utc>) -> bool {
        matches!(self, Self::Utc(utc) if at > utc.and_utc())
    }

    /// Whether this end is before the start.
    pub(super) fn precedes(self, start: NaiveDateTime, at: DateTime<Utc>) -> bool {
        match self {
            Self::Wall(local) => local < start,
            Self::Utc(utc) => utc.and_utc() < at,
        }
    }

    /// For a person. A whole day is written as its date.
    pub(super) fn words(self) -> String {
        match self {
            Self::Wall(local) if Some(local.time()) == NaiveTime::from_hms_opt(23, 59, 59) => local.date().to_string(),
            Self::Wall(local) => local.format("%Y-%m-%d %H:%M").to_string(),
            Self::Utc(utc) => utc.format("%Y-%m-%d %H:%M UTC").to_string(),
        }
    }
}

/// Writes the form that an RRULE contains.
impl Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wall(local) => write!(f, "{}", local.format("%Y%m%dT%H%M%S")),
            Self::Utc(utc) => write!(f, "{}", utc.format("%Y%m%dT%H%M%SZ")),
        }
    }
}
