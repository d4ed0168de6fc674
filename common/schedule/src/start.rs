//! Pure. When a reminder begins: a time on the wall, and the instant that it means.

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
    /// The instant meant. Where clocks go back, an offset may name the later of two.
    pub at: DateTime<Utc>,
}

impl Start {
    /// Reads a start such as `2026-12-01T09:00`, which is wall-clock time in `tz`, or `2026-12-01T09:00:00+01:00`, an
    /// instant. A time that clocks skip is accepted and shifted; fractions of a second are dropped.
    ///
    /// # Errors
    /// When it is neither, or lies outside 1970 to 2199; the error's field is `start`.
    pub fn parse(text: &str, tz: Tz) -> Result<Self, Error> {
        let text = text.trim();
        let outside = || Error::new("start", "must lie between 1970 and 2199");
        let start = if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            let at = instant.with_timezone(&Utc);
            let at = at.with_nanosecond(0).unwrap_or(at);
            // far beyond it no zone's clock can be read; its own clock may show the next year or the last
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

    /// A start that was stored as wall-clock time.
    #[must_use]
    pub fn stored(local: NaiveDateTime, tz: Tz) -> Self {
        Self { local, at: instant_of(local, tz) }
    }

    /// The same, where clocks show it twice and the later time may be meant.
    #[must_use]
    pub fn stored_as(local: NaiveDateTime, later: bool, tz: Tz) -> Self {
        match tz.local(local) {
            Local::Twice(_, second) if later => Self { local, at: second },
            meant => Self { local, at: meant.instant() },
        }
    }

    /// Whether clocks show it twice and the later time is meant.
    #[must_use]
    pub fn is_later(self, tz: Tz) -> bool {
        matches!(tz.local(self.local), Local::Twice(_, second) if second == self.at)
    }

    /// As it is written in answers: wall-clock time, with an offset where only that says which of two is meant.
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
