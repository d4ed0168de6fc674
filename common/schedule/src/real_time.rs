//! Pure. Expands HOURLY and MINUTELY rules. They count elapsed hours and minutes, so that each real hour fires once
//! when clocks change. The BY parts (BYHOUR, BYDAY …) are tested against the wall-clock time.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, NaiveTime, Timelike as _};

use super::dates::Dates;
use super::error::Error;
use super::floating::places;
use super::range::within_range;
use super::rule::{Freq, Rule};
use super::start::Start;
use super::steps::Steps;
use super::wall_clock::Offsets;
use crate::zone::Tz;

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
/// Steps for testing an hour or a minute. It costs about as much as two dates.
const LOOK: u32 = 2;
/// Days from the start of the common era to 1970.
const EPOCH: i64 = 719_163;

/// The occurrences of a rule from its start on, in order and in seconds since 1970.
pub(super) struct RealTime<'a> {
    rule: &'a Rule,
    dates: Dates,
    offsets: Offsets,
    /// Days on which nothing fires. Rules with COUNT are expanded on them all the same, since these occurrences count.
    without: &'a BTreeSet<NaiveDate>,
    start: i64,
    /// The second of each minute.
    second: i64,
    until: Option<i64>,
    /// How many occurrences may still come; `None` if the rule has no COUNT.
    left: Option<u32>,
    /// The beginning of the start's hour or minute, and the seconds from one interval to the next.
    origin: i64,
    step: i64,
    /// The number of the next hour or minute. The start's is 0.
    number: i64,
    /// The occurrences of the current hour that are still to come, the last one first.
    ready: Vec<i64>,
    /// The date that was tested last, in days since 1970, and whether the rule selects it.
    known: Option<(i64, bool)>,
}

impl<'a> RealTime<'a> {
    /// Starts an expansion. A rule without COUNT is expanded from shortly before `after`, in seconds since 1970.
    pub(super) fn new(rule: &'a Rule, (start, tz): (Start, Tz), without: &'a BTreeSet<NaiveDate>, after: i64) -> Self {
        let (first, start) = (start.at.timestamp(), start.local);
        // with BYMINUTE, an hour is expanded as a whole
        let whole = rule.freq == Freq::Hourly && !rule.minutes.is_empty();
        let second = rule.second.unwrap_or_else(|| start.second());
        let origin = if whole {
            first - i64::from(start.minute() * 60 + start.second())
        } else {
            first - i64::from(start.second()) + i64::from(second)
        };
        let step = i64::from(rule.interval) * if rule.freq == Freq::Hourly { HOUR } else { 60 };
        let until = rule.until.map(|until| until.instant(tz).timestamp());
        let number = if rule.count.is_some() { 0 } else { (after - origin).div_euclid(step).max(0) };
        Self {
            rule,
            dates: Dates::of(rule, start.date()),
            offsets: Offsets::new(tz),
            without,
            start: first,
            second: second.into(),
            until,
            left: rule.count,
            origin,
            step,
            number,
            ready: Vec::new(),
            known: None,
        }
    }

    /// The next occurrence; `None` if there are no more.
    pub(super) fn next(&mut self, steps: &mut Steps) -> Result<Option<i64>, Error> {
        loop {
            if let Some(at) = self.ready.pop() {
                steps.take(1)?;
                if self.until.is_some_and(|until| at > until) || self.left == Some(0) {
                    return Ok(None);
                }
                self.left = self.left.map(|left| left - 1);
                return Ok(Some(at));
            }
            let at = self.origin + self.number * self.step;
            if self.until.is_some_and(|until| at > until) || !self.in_range(at) {
                return Ok(None);
            }
            steps.take(LOOK)?;
            self.look_at(at, steps)?;
            if self.ready.is_empty() {
                let Some(ahead) = self.nothing_before(at, steps)? else { return Ok(None) };
                self.number = (self.number + 1).max((ahead - self.origin).div_euclid(self.step));
            } else {
                self.number += 1;
            }
        }
    }

    /// Finds the occurrences of the hour or the minute that begins at `at`.
    fn look_at(&mut self, at: i64, steps: &mut Steps) -> Result<(), Error> {
        if self.rule.freq == Freq::Hourly && !self.rule.minutes.is_empty() {
            let (first, last) = (self.offsets.at(at), self.offsets.at(at + HOUR - 1));
            let second = self.second;
            if first == last {
                let into_hour = (at + first).rem_euclid(HOUR);
                let minutes = self.rule.minutes.iter();
                self.ready
                    .extend(minutes.map(|minute| at + (i64::from(*minute) * 60 + second - into_hour).rem_euclid(HOUR)));
            } else {
                // clocks change within this hour: test each of its minutes
                self.ready.extend((0..60).map(|minute| at + minute * 60 + second));
            }
            steps.take(u32::try_from(self.ready.len()).unwrap_or(u32::MAX))?;
            self.ready.sort_unstable_by(|one, other| other.cmp(one));
        } else {
            self.ready.push(at);
        }
        let mut ready = std::mem::take(&mut self.ready);
        ready.retain(|at| self.takes(*at));
        if !self.rule.positions.is_empty() {
            let chosen = places(&self.rule.positions, ready.len());
            // `chosen` has the last position first, and `ready` the last occurrence first: positions count from the end
            // of `ready`
            let size = ready.len();
            ready = chosen.iter().filter_map(|place| ready.get(size - 1 - place).copied()).collect();
        }
        ready.retain(|at| *at >= self.start);
        self.ready = ready;
        Ok(())
    }

    /// Whether the rule selects the wall-clock time at `at`.
    fn takes(&mut self, at: i64) -> bool {
        let local = at + self.offsets.at(at);
        let hour_or_minute = |values: &[u32], value: i64| {
            values.is_empty() || u32::try_from(value).is_ok_and(|value| values.contains(&value))
        };
        hour_or_minute(&self.rule.minutes, local.rem_euclid(HOUR) / 60)
            && hour_or_minute(&self.rule.hours, local.rem_euclid(DAY) / HOUR)
            && self.takes_date(local.div_euclid(DAY))
    }

    fn takes_date(&mut self, day: i64) -> bool {
        match self.known {
            Some((known, takes)) if known == day => takes,
            _ => {
                let is_out = |date| self.left.is_none() && self.without.contains(&date);
                let takes = date_of(day).is_some_and(|date| self.dates.take(date) && !is_out(date));
                self.known = Some((day, takes));
                takes
            }
        }
    }

    /// An instant before which nothing fires, if nothing fires at `at`. `None` if nothing fires any more.
    fn nothing_before(&mut self, at: i64, steps: &mut Steps) -> Result<Option<i64>, Error> {
        let offset = self.offsets.at(at);
        let (day, second) = ((at + offset).div_euclid(DAY), (at + offset).rem_euclid(DAY));
        if !self.takes_date(day) {
            let (Some(from), last) = (date_of(day + 1), NaiveDate::MAX) else { return Ok(None) };
            let Some(date) = self.dates.next(from, last, steps)? else { return Ok(None) };
            return Ok(Some(self.offsets.first_at(date.and_time(NaiveTime::MIN), offset)));
        }
        let hour = second / HOUR;
        let takes_hour = |wanted: &u32| i64::from(*wanted) == hour;
        if self.rule.hours.is_empty() || self.rule.hours.iter().any(takes_hour) {
            return Ok(Some(at));
        }
        let later = self.rule.hours.iter().map(|hour| i64::from(*hour) * HOUR).find(|begins| *begins > second);
        let ahead = at + later.unwrap_or(DAY) - second;
        // valid only if clocks don't change in between
        Ok(Some(if self.offsets.at(ahead - 1) == offset { ahead } else { at }))
    }

    fn in_range(&self, at: i64) -> bool {
        DateTime::from_timestamp(at, 0).is_some_and(|at| within_range(at.date_naive()))
    }
}

/// The date that is `day` days after 1970-01-01.
fn date_of(day: i64) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(i32::try_from(day + EPOCH).ok()?)
}
