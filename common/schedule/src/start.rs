//! Pure. The start of a reminder: a wall-clock time and the instant that it means.

use chrono::{DateTime, Datelike as _, NaiveDateTime, SecondsFormat, Timelike as _, Utc};

use super::error::Error;
use super::range::within_range;
use super::wall_clock::{Local, instant_of};
use crate::zone::Tz;

/// A reminder's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Wall-clock time in the reminder's zone.
    pub local: NaiveDateTime,
    /// The instant. If clocks show the time twice, an offset in the request may select the later one.
    pub at: DateTime<Utc>,
}

impl Start {
    /// Reads a start such as `2026-12-01T09:00`, which is wall-clock time in `tz`, or `2026-12-01T09:00:00+01:00`,
    /// which is an instant. A time that clocks skip is accepted and shifted. Fractions of a second are dropped.
    ///
    /// # Errors
    /// If it has neither form, or lies outside 1970 to 2199. The error's field is `start`.
    pub fn parse(text: &str, tz: Tz) -> Result<Self, Error> {
        let text = text.trim();
        let outside = || Error::new("start", "must lie between 1970 and 2199");
        let start = if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            let at = instant.with_timezone(&Utc);
            let at = at.with_nanosecond(0).unwrap_or(at);
            // the local year may differ by one from the year in UTC; instants further away can't be converted
            if !(1969..=2200).contains(&at.year()) {
                return Err(outside());
            }
            Self { local: at.with_timezone(&tz).naive_local(), at }
        } else {
            let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
            let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
            let local = local
                .ok_or_else(|| Error::new("start", "must be like 2026-12-01T09:00 or 2026-12-01T09:00:00+01:00"))?;
            let local = local.with_nanosecond(0).unwrap_or(local);
            if !within_range(local.date()) {
                return Err(outside());
            }
            Self { local, at: instant_of(local, tz) }
        };
        if within_range(start.local.date()) { Ok(start) } else { Err(outside()) }
    }

    /// The start for a stored wall-clock time.
    #[must_use]
    pub fn stored(local: NaiveDateTime, tz: Tz) -> Self {
        Self { local, at: instant_of(local, tz) }
    }

    /// Like [`Self::stored`]. If clocks show the time twice, `later` selects the second one.
    #[must_use]
    pub fn stored_as(local: NaiveDateTime, later: bool, tz: Tz) -> Self {
        match tz.local(local) {
            Local::Twice(_, second) if later => Self { local, at: second },
            meant => Self { local, at: meant.instant() },
        }
    }

    /// Whether clocks show the time twice and the later one is meant.
    #[must_use]
    pub fn is_later(self, tz: Tz) -> bool {
        matches!(tz.local(self.local), Local::Twice(_, second) if second == self.at)
    }

    /// The start as written in answers: wall-clock time, or an instant with an offset if the later of two equal times
    /// is meant.
    #[must_use]
    pub fn text(self, tz: Tz) -> String {
        let local = self.local.format("%Y-%m-%dT%H:%M:%S");
        if self.is_later(tz) {
            self.at.with_timezone(&tz).to_rfc3339_opts(SecondsFormat::Secs, false)
        } else {
            local.to_string()
        }
    }
}
