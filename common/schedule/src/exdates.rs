//! Pure. The exceptions of a recurrence (EXDATE of RFC 5545, section 3.8.5.1): whole days, and single times.

use std::collections::BTreeSet;

use chrono::{NaiveDate, NaiveDateTime};

use super::error::Error;
use super::range::within_range;
use super::start::Start;
use crate::zone::Tz;

/// The highest number of exceptions of a reminder.
pub const EXDATES_MAX: usize = 500;

/// Exceptions, in wall-clock time of the reminder's zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exdates {
    days: BTreeSet<NaiveDate>,
    times: BTreeSet<NaiveDateTime>,
}

impl Exdates {
    /// Reads exceptions. `2026-12-25` excludes a whole day, and `2026-12-24T17:00` excludes one occurrence. An instant
    /// with an offset is converted to wall-clock time in `tz`.
    ///
    /// # Errors
    /// If there are too many, or one has neither form. The error's field is `exdates`.
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

    /// The stored form: each exception once, days before times.
    #[must_use]
    pub fn to_texts(&self) -> Vec<String> {
        let days = self.days.iter().map(NaiveDate::to_string);
        days.chain(self.times.iter().map(|time| time.format("%Y-%m-%dT%H:%M:%S").to_string())).collect()
    }

    /// Whether there are no exceptions.
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
