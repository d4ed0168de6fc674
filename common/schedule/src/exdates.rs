//! Pure. What is left out of a recurrence (EXDATE of RFC 5545, section 3.8.5.1): dates, and times of a date.

use std::collections::BTreeSet;

use chrono::{NaiveDate, NaiveDateTime};

use super::error::Error;
use super::range::within_range;
use super::start::Start;
use crate::zone::Tz;

/// Most of a reminder.
pub const EXDATES_MAX: usize = 500;

/// Exceptions, on the clocks of the reminder's zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exdates {
    days: BTreeSet<NaiveDate>,
    times: BTreeSet<NaiveDateTime>,
}

impl Exdates {
    /// Reads exceptions such as `2026-12-25`, on which nothing fires, or `2026-12-24T17:00`, an occurrence that does not; an
    /// instant with an offset is taken as the time that it is in `tz`.
    ///
    /// # Errors
    /// When there are too many, or one is neither; the error's field is `exdates`.
    pub fn parse(texts: &[String], tz: Tz) -> Result<Self, Error> {
        if texts.len() > EXDATES_MAX {
            return Err(Error::new("exdates", format_args!("must be at most {EXDATES_MAX}")));
        }
        let mut exdates = Self::default();
        for (place, text) in texts.iter().enumerate() {
            let bad = || {
                let words = "must be like 2026-12-25 or 2026-12-24T17:00, between 1970 and 2199";
                Error::new("exdates", format_args!("number {} {words}", place + 1))
            };
            match NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d") {
                Ok(day) if within_range(day) => exdates.days.insert(day),
                Ok(_) => return Err(bad()),
                Err(_) => exdates.times.insert(Start::parse(text, tz).map_err(|_| bad())?.local),
            };
        }
        Ok(exdates)
    }

    /// As they are stored: each once, dates before times.
    #[must_use]
    pub fn to_texts(&self) -> Vec<String> {
        let days = self.days.iter().map(NaiveDate::to_string);
        days.chain(self.times.iter().map(|time| time.format("%Y-%m-%dT%H:%M:%S").to_string())).collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.days.is_empty() && self.times.is_empty()
    }

    /// The days on which nothing fires.
    pub(super) fn days(&self) -> &BTreeSet<NaiveDate> {
        &self.days
    }

    /// Whether nothing fires at `local`.
    pub(super) fn hold(&self, local: NaiveDateTime) -> bool {
        self.times.contains(&local) || self.days.contains(&local.date())
    }
}
