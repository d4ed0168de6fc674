//! Pure. The part of a request that says when a reminder fires: checked as a whole, for creating one and for a preview.

use chrono::{DateTime, NaiveDateTime, Utc};

use super::exdates::Exdates;
use super::recurrence::{End, Recurrence, accept_rrule};
use super::rule::{FIELD, Rule};
use super::schedule::{Following, OnGap, Schedule, Start};
use super::zone::instant_of;
use super::{Error, Past, window};
use crate::zone::Tz;

/// As it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Spec<'a> {
    /// Wall-clock time or an instant; see [`Start::parse`].
    pub start: &'a str,
    /// An IANA zone.
    pub timezone: &'a str,
    /// What it repeats on; neither this nor `rrule`: it fires once.
    pub recurrence: Option<&'a Recurrence>,
    /// The same as an RRULE.
    pub rrule: Option<&'a str>,
    /// What is left out; see [`Exdates::parse`].
    pub exdates: &'a [String],
    /// What becomes of times that clocks skip.
    pub on_gap: OnGap,
    /// The hour at which sending stops.
    pub window_end: Option<u8>,
}

/// What a [`Spec`] means, checked.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Its start.
    pub start: Start,
    /// The zone.
    pub tz: Tz,
    /// The rule in its stored form; none: it fires once.
    pub rrule: Option<String>,
    /// The exceptions in their stored form.
    pub exdates: Vec<String>,
    /// The first occurrences, as many as were asked for; at least one.
    pub following: Following,
    /// When it fires first.
    pub first_fire: DateTime<Utc>,
}

impl Spec<'_> {
    /// Checks everything at `now`, and finds the first `want` occurrences, at least one.
    ///
    /// # Errors
    /// The first thing that is wrong; the error names its field.
    pub fn check(&self, now: DateTime<Utc>, want: usize) -> Result<Accepted, Error> {
        let tz = super::timezone(self.timezone)?;
        let start = Start::parse(self.start, tz)?;
        let rrule = self.rrule(start.local, tz)?;
        if rrule.is_none() && !self.exdates.is_empty() {
            return Err(Error::new("exdates", "only go with `recurrence` or `rrule`"));
        }
        let exdates = Exdates::parse(self.exdates, tz)?;
        if let Some(end) = self.window_end {
            let rule = rrule.as_deref().map(Rule::parse).transpose()?;
            window::check(end, start.local, rule.as_ref())?;
        }
        let texts = exdates.to_texts();
        let schedule = Schedule::new(start.local, tz, rrule.as_deref(), exdates, self.on_gap)?;
        let following = schedule.first(start, now, want.max(1)).map_err(|error| self.named(error))?;
        let first = following.occurrences.first().ok_or_else(|| Error::new(FIELD, "has no occurrence at all"))?;
        let due = instant_of(first.nominal, tz);
        if first.at > due && !window::is_open(self.window_end, tz, due, first.at) {
            let message =
                "has passed by the minute at which the first occurrence can still fire: nothing would be sent";
            return Err(Error::new("window_end", message));
        }
        Ok(Accepted { start, tz, rrule, exdates: texts, first_fire: first.at, following })
    }

    /// Checks an edit of a reminder (R44). One that recurs is armed with its first occurrence from now on, wherever its start
    /// lies. An occurrence of the last minute that has not fired, or one that fired and of which nothing was sent, is taken
    /// as the next full minute. Else one for once is checked as a new one.
    ///
    /// # Errors
    /// As [`Self::check`]; and when no occurrence is left, or what is for once has fired.
    pub fn check_again(&self, past: &Past) -> Result<Accepted, Error> {
        let accepted = self.check(DateTime::UNIX_EPOCH, 1)?;
        if accepted.first_fire > past.now {
            return Ok(accepted);
        }
        let rrule = accepted.rrule.as_deref();
        let exdates = Exdates::parse(&accepted.exdates, accepted.tz)?;
        let schedule = Schedule::new(accepted.start.local, accepted.tz, rrule, exdates, self.on_gap)?;
        match past.first_fire(&schedule, self.window_end).map_err(|error| self.named(error))? {
            Some(first_fire) => Ok(Accepted { first_fire, ..accepted }),
            None if rrule.is_some() => Err(self.named(Error::new(FIELD, "has no occurrence left"))),
            None if past.fired.is_some_and(|fired| fired >= accepted.first_fire) => {
                let local = accepted.first_fire.with_timezone(&accepted.tz).format("%Y-%m-%d %H:%M %Z");
                Err(Error::new("start", format_args!("{local} has passed, and it fired: give a later one")))
            }
            None => self.check(past.now, 1),
        }
    }

    fn rrule(&self, start: NaiveDateTime, tz: Tz) -> Result<Option<String>, Error> {
        match (self.recurrence, self.rrule) {
            (Some(_), Some(_)) => Err(Error::new(FIELD, "goes without `recurrence`: give one of the two")),
            (Some(spec), None) => match spec.end {
                End::Until(date) if date < start.date() => Err(Error::new(
                    "recurrence.end",
                    format_args!("`until` {date} lies before the start, {}", start.date()),
                )),
                _ => spec.to_rrule(),
            },
            (None, Some(raw)) => accept_rrule(raw, tz).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// An error about the rule names the field in which it was given.
    fn named(&self, error: Error) -> Error {
        match error.field {
            FIELD if self.recurrence.is_some() => Error { field: "recurrence", ..error },
            _ => error,
        }
    }
}
