//! Pure. The part of a request that says when a reminder fires: checked as a whole, for creating one and for a preview.

use chrono::{DateTime, DurationRound as _, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::exdates::Exdates;
use super::recurrence::{End, Recurrence, accept_rrule};
use super::rule::{FIELD, Rule};
use super::schedule::{Following, GRACE, OnGap, Schedule, Start};
use super::{Error, window};

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
        Ok(Accepted { start, tz, rrule, exdates: texts, first_fire: first.at, following })
    }

    /// Checks an edit at `now` of a reminder that fired last at `fired` (R44). One that recurs is armed with its first
    /// occurrence from now on, wherever its start lies; one of the last minute that has not fired is taken as the next full
    /// minute. One for once is checked as a new one.
    ///
    /// # Errors
    /// As [`Self::check`]; and when no occurrence is left.
    pub fn check_again(&self, now: DateTime<Utc>, fired: Option<DateTime<Utc>>) -> Result<Accepted, Error> {
        let accepted = self.check(DateTime::UNIX_EPOCH, 1)?;
        let Some(rrule) = accepted.rrule.as_deref() else { return self.check(now, 1) };
        if accepted.first_fire > now {
            return Ok(accepted);
        }
        let exdates = Exdates::parse(&accepted.exdates, accepted.tz)?;
        let schedule = Schedule::new(accepted.start.local, accepted.tz, Some(rrule), exdates, self.on_gap)?;
        let since = fired.map_or(now - GRACE, |fired| fired.max(now - GRACE));
        let next = schedule.next_after(since).map_err(|error| self.named(error))?;
        let next = next.ok_or_else(|| self.named(Error::new(FIELD, "has no occurrence left")))?;
        let minute = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
        let first_fire = if next > now { next } else { minute + TimeDelta::minutes(1) };
        Ok(Accepted { first_fire, ..accepted })
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
