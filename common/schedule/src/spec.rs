//! Pure. The part of a request that says when a reminder fires. It is checked as a whole, for new reminders, edits and
//! previews.

use chrono::{DateTime, NaiveTime, Timelike as _, Utc};

use super::block;
use super::error::Error;
use super::exdates::Exdates;
use super::occurrence::{Clocks, Following};
use super::rearm::Past;
use super::recurrence::{End, Recurrence};
use super::rule::{FIELD, Rule};
use super::schedule::{OnGap, Schedule, Stored};
use super::start::Start;
use super::wall_clock::instant_of;
use super::window::{Edge, Window};
use crate::zone::Tz;

/// The schedule as requested.
#[derive(Debug, Clone, Copy)]
pub struct Spec<'a> {
    /// Wall-clock time or an instant; see [`Start::parse`].
    pub start: &'a str,
    /// An IANA zone.
    pub timezone: &'a str,
    /// The structured recurrence. With neither this nor `rrule`, the reminder fires once.
    pub recurrence: Option<&'a Recurrence>,
    /// The recurrence as an RRULE.
    pub rrule: Option<&'a str>,
    /// The exceptions; see [`Exdates::parse`].
    pub exdates: &'a [String],
    /// What becomes of times that clocks skip.
    pub on_gap: OnGap,
    /// The beginning of the delivery window.
    pub window_start: Option<&'a Edge>,
    /// The end of the delivery window.
    pub window_end: Option<&'a Edge>,
}

/// A checked [`Spec`].
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The start.
    pub start: Start,
    /// The zone.
    pub tz: Tz,
    /// The rule in its stored form; `None`: fires once.
    pub rrule: Option<String>,
    /// Times of day in minutes from midnight that the rule does not contain.
    pub times: Vec<i16>,
    /// The exceptions in their stored form.
    pub exdates: Vec<String>,
    /// The delivery window.
    pub window: Option<Window>,
    /// The first occurrences, as many as requested, and at least one.
    pub following: Following,
    /// When it fires first.
    pub first_fire: DateTime<Utc>,
    /// The occurrence that has just passed, if the next full minute fires in its place.
    pub stands_for: Option<DateTime<Utc>>,
}

impl Spec<'_> {
    /// Checks everything at `now`, and finds the first `want` occurrences, at least one.
    ///
    /// # Errors
    /// The first thing that is wrong. The error names its field.
    pub fn check(&self, now: DateTime<Utc>, want: usize) -> Result<Accepted, Error> {
        let tz = super::timezone::timezone(self.timezone)?;
        let start = Start::parse(self.start, tz)?;
        let (rrule, times) = self.rrule(start, tz)?;
        if rrule.is_none() && !self.exdates.is_empty() {
            return Err(Error::new("exdates", "only go with `recurrence` or `rrule`"));
        }
        let exdates = Exdates::parse(self.exdates, tz)?;
        let window = Window::parse(self.window_start, self.window_end)?;
        if let Some(window) = window {
            let rule = rrule.as_deref().map(Rule::parse).transpose()?.map(|rule| Rule { times: times.clone(), ..rule });
            window.check(start.local, rule.as_ref())?;
        }
        let texts = exdates.to_texts();
        let schedule = Schedule::new(start.local, tz, rrule.as_deref(), exdates, self.on_gap)?;
        let schedule = schedule.starting(start).firing_at(times.clone()).within(window);
        let following = schedule.first(now, want.max(1)).map_err(|error| self.named(error))?;
        let first = following.occurrences.first().ok_or_else(|| Error::new(FIELD, "has no occurrence at all"))?;
        let due = instant_of(first.nominal, tz);
        if first.at > due && !Window::is_open(window, tz, due, first.at) {
            let message =
                "has passed by the minute at which the first occurrence can still fire: nothing would be sent";
            return Err(Error::new("window_end", message));
        }
        let times = times.iter().filter_map(|time| i16::try_from(time.hour() * 60 + time.minute()).ok()).collect();
        let bumped = first.at > due && first.clocks != Some(Clocks::SecondOfTwo);
        let stands_for = bumped.then_some(due);
        Ok(Accepted { start, tz, rrule, times, exdates: texts, window, first_fire: first.at, stands_for, following })
    }

    /// Checks an edit of a reminder. If its first occurrence has passed, the next fire is found as follows. An
    /// occurrence of the last minute that has not fired, or one that fired but of which nothing was sent, fires at the
    /// next full minute. Otherwise a recurring reminder fires at its next occurrence, and a one-time reminder is
    /// checked like a new one.
    ///
    /// # Errors
    /// As for [`Self::check`]. Also if no occurrence is left, or if a one-time reminder has fired.
    pub fn check_again(&self, past: &Past) -> Result<Accepted, Error> {
        let accepted = self.check(DateTime::UNIX_EPOCH, 1)?;
        if accepted.first_fire > past.now {
            return Ok(accepted);
        }
        let rrule = accepted.rrule.as_deref();
        let schedule = Schedule::read(&Stored {
            start_local: accepted.start.local,
            start_later: accepted.start.is_later(accepted.tz),
            timezone: self.timezone,
            rrule,
            times: &accepted.times,
            exdates: &accepted.exdates,
            on_gap: self.on_gap,
            window: accepted.window,
        })?;
        match past.first_fire(&schedule).map_err(|error| self.named(error))? {
            Some(first_fire) => Ok(Accepted { first_fire, ..accepted }),
            None if rrule.is_some() => Err(self.named(Error::new(FIELD, "has no occurrence left"))),
            None if past.fired.is_some_and(|fired| fired >= accepted.first_fire) => {
                let local = accepted.first_fire.with_timezone(&accepted.tz).format("%Y-%m-%d %H:%M %Z");
                Err(Error::new("start", format_args!("{local} has passed, and it fired: give a later one")))
            }
            None => self.check(past.now, 1),
        }
    }

    /// The rule in its stored form, and the times of day that it cannot express.
    fn rrule(&self, start: Start, tz: Tz) -> Result<(Option<String>, Vec<NaiveTime>), Error> {
        match (self.recurrence, self.rrule) {
            (Some(spec), raw) => {
                if let End::Until(date) = spec.end
                    && date < start.local.date()
                {
                    let message = format_args!("`until` {date} lies before the start, {}", start.local.date());
                    return Err(Error::new("recurrence.end", message));
                }
                let (rrule, times) = (spec.to_rrule()?, spec.times_beside()?);
                match raw {
                    // answers contain both forms, so a request may repeat both if they agree
                    Some(raw) if times.is_empty() && rrule.as_deref() != Some(&block::accept(raw, start, tz)?) => {
                        Err(Error::new(FIELD, "says something else than `recurrence`: give one of the two"))
                    }
                    Some(_) if !times.is_empty() => {
                        Err(Error::new(FIELD, "goes without `recurrence.times`: no rule says them"))
                    }
                    _ => Ok((rrule, times)),
                }
            }
            (None, Some(raw)) => Ok((Some(block::accept(raw, start, tz)?), Vec::new())),
            (None, None) => Ok((None, Vec::new())),
        }
    }

    /// Changes the field of an error about the rule to the field that the request used.
    fn named(&self, error: Error) -> Error {
        match error.field {
            FIELD if self.recurrence.is_some() => Error { field: "recurrence", ..error },
            _ => error,
        }
    }
}
