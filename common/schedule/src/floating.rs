//! Pure. Expands DAILY and coarser rules on a calendar without zones: periods of the frequency, the dates in each, and
//! the times of day on each date.
//!
//! The set of a period is never written out. It is the product of its dates and its times of day, so that a position in
//! it (BYSETPOS) is found by division.

use std::collections::BTreeSet;

use chrono::{Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};

use super::dates::{Dates, days_into_week, days_of_month};
use super::error::Error;
use super::range::within_range;
use super::rule::{Freq, Rule};
use super::steps::Steps;
use super::wall_clock::Local;
use crate::zone::Tz;

/// The occurrences of a rule from its start on, in order and in wall-clock time.
pub(super) struct Floating<'a> {
    rule: &'a Rule,
    dates: Dates,
    times: Vec<NaiveTime>,
    start: NaiveDateTime,
    /// Days on which nothing fires. Rules with COUNT or BYSETPOS are expanded on them all the same, since these
    /// occurrences count.
    without: &'a BTreeSet<NaiveDate>,
    /// Occurrences before this are not returned, but still count towards `COUNT`.
    from: NaiveDateTime,
    /// How many occurrences may still come; `None` if the rule has no COUNT.
    left: Option<u32>,
    /// The zone if times that its clocks skip are no occurrences and are not counted (RFC 5545, section 3.3.10).
    skips_in: Option<Tz>,
    /// The number of the next period. The start's period is 0.
    period: i64,
    /// The dates of the current period, and the positions in its set that are still to come.
    days: Vec<NaiveDate>,
    places: Places,
}

/// The positions of a period's set that are still to come.
enum Places {
    /// All positions of a range.
    All(std::ops::Range<usize>),
    /// These positions, the last one first.
    Some(Vec<usize>),
}

impl<'a> Floating<'a> {
    /// Starts an expansion. `from` may be any time. A rule without COUNT is expanded from `from` on, so that an old
    /// reminder costs no more than a new one.
    pub(super) fn new(
        rule: &'a Rule,
        start: NaiveDateTime,
        without: &'a BTreeSet<NaiveDate>,
        (from, skips_in): (NaiveDateTime, Option<Tz>),
    ) -> Self {
        let from = from.max(start);
        let mut floating = Self {
            rule,
            dates: Dates::of(rule, start.date()),
            times: times_of_day(rule, start.time()),
            start,
            without,
            from: if rule.count.is_some() { start } else { from },
            left: rule.count,
            skips_in,
            period: 0,
            days: Vec::new(),
            places: Places::All(0..0),
        };
        if rule.count.is_none() {
            floating.period = floating.periods_between(from.date()).div_euclid(rule.interval.into());
        }
        floating
    }

    /// The next occurrence; `None` if there are no more.
    pub(super) fn next(&mut self, steps: &mut Steps) -> Result<Option<NaiveDateTime>, Error> {
        loop {
            while let Some(local) = self.next_of_period() {
                steps.take(1)?;
                if local < self.from {
                    continue;
                }
                let over = self.rule.until.is_some_and(|until| local > until.wall());
                match &mut self.left {
                    _ if over => return Ok(None),
                    Some(0) => return Ok(None),
                    Some(_) if self.skips_in.is_some_and(|tz| matches!(tz.local(local), Local::Skipped(_))) => {}
                    Some(left) => *left -= 1,
                    None => {}
                }
                return Ok(Some(local));
            }
            steps.take(1)?;
            if !self.open_period(steps)? {
                return Ok(None);
            }
        }
    }

    fn next_of_period(&mut self) -> Option<NaiveDateTime> {
        let place = match &mut self.places {
            Places::All(range) => range.next()?,
            Places::Some(places) => places.pop()?,
        };
        let day = self.days.get(place / self.times.len())?;
        Some(day.and_time(*self.times.get(place % self.times.len())?))
    }

    /// Finds the dates of the next period. Returns false if there is none, or if it begins after the end of the rule.
    fn open_period(&mut self, steps: &mut Steps) -> Result<bool, Error> {
        let Some((first, last)) = self.bounds(self.period * i64::from(self.rule.interval)) else { return Ok(false) };
        if !within_range(first.max(self.start.date()))
            || self.rule.until.is_some_and(|until| first > until.wall().date())
        {
            return Ok(false);
        }
        self.days.clear();
        if self.rule.freq == Freq::Daily {
            self.skip_to_day(first, steps)?;
        } else {
            self.period += 1;
            // without BYSETPOS, dates before the first occurrence that is returned don't matter
            let mut date = if self.rule.positions.is_empty() { first.max(self.from.date()) } else { first };
            while let Some(found) = self.dates.next(date, last, steps)? {
                self.days.push(found);
                match found.succ_opt() {
                    Some(next) => date = next,
                    None => break,
                }
            }
        }
        if self.left.is_none() && self.rule.positions.is_empty() {
            self.days.retain(|day| !self.without.contains(day));
        }
        let size = self.days.len() * self.times.len();
        self.places = if self.rule.positions.is_empty() {
            Places::All(0..size)
        } else {
            Places::Some(places(&self.rule.positions, size))
        };
        Ok(true)
    }

    /// Takes `first`, the only date of a daily rule's period, if the rule selects it. Otherwise skips to the first
    /// period that may have a selected date.
    fn skip_to_day(&mut self, first: NaiveDate, steps: &mut Steps) -> Result<(), Error> {
        let last = self.rule.until.map_or(NaiveDate::MAX, |until| until.wall().date());
        match self.dates.next(first, last, steps)? {
            Some(found) if found == first => {
                self.days.push(found);
                self.period += 1;
            }
            Some(found) => {
                let interval = i64::from(self.rule.interval);
                self.period += ((found - first).num_days() + interval - 1).div_euclid(interval);
            }
            None => self.period = i64::from(u32::MAX), // beyond every date in range
        }
        Ok(())
    }

    /// The first and last date of the period that is `ahead` days, weeks, months or years after the start's.
    fn bounds(&self, ahead: i64) -> Option<(NaiveDate, NaiveDate)> {
        let start = self.start.date();
        match self.rule.freq {
            Freq::Minutely | Freq::Hourly | Freq::Daily => {
                let day = start.checked_add_days(Days::new(ahead.try_into().ok()?))?;
                Some((day, day))
            }
            Freq::Weekly => {
                let day = start.checked_add_days(Days::new((ahead * 7).try_into().ok()?))?;
                let first = day.checked_sub_days(Days::new(days_into_week(start, self.rule.week_start).into()))?;
                Some((first, first.checked_add_days(Days::new(6))?))
            }
            Freq::Monthly => {
                let months = months_of(start) + ahead;
                let year = i32::try_from(months.div_euclid(12)).ok()?;
                let first = NaiveDate::from_ymd_opt(year, u32::try_from(months.rem_euclid(12)).ok()? + 1, 1)?;
                Some((first, first.with_day(days_of_month(first))?))
            }
            Freq::Yearly => {
                let year = i32::try_from(i64::from(start.year()) + ahead).ok()?;
                Some((NaiveDate::from_ymd_opt(year, 1, 1)?, NaiveDate::from_ymd_opt(year, 12, 31)?))
            }
        }
    }

    /// The number of periods from the start to `date`, for an interval of 1.
    fn periods_between(&self, date: NaiveDate) -> i64 {
        let start = self.start.date();
        match self.rule.freq {
            Freq::Minutely | Freq::Hourly | Freq::Daily => (date - start).num_days(),
            Freq::Weekly => {
                let into_week = days_into_week(start, self.rule.week_start);
                ((date - start).num_days() + i64::from(into_week)).div_euclid(7)
            }
            Freq::Monthly => months_of(date) - months_of(start),
            Freq::Yearly => i64::from(date.year()) - i64::from(start.year()),
        }
    }
}

fn months_of(date: NaiveDate) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month0())
}

/// The times of day at which the rule fires, in order: the rule's own times, or the start's time with the parts that
/// BYHOUR, BYMINUTE and BYSECOND replace.
fn times_of_day(rule: &Rule, start: NaiveTime) -> Vec<NaiveTime> {
    if !rule.times.is_empty() {
        return rule.times.clone();
    }
    let (hour, minute) = ([start.hour()], [start.minute()]);
    let hours = if rule.hours.is_empty() { &hour } else { rule.hours.as_slice() };
    let minutes = if rule.minutes.is_empty() { &minute } else { rule.minutes.as_slice() };
    let second = rule.second.unwrap_or_else(|| start.second());
    let time = |hour: u32, minute: u32| NaiveTime::from_hms_opt(hour, minute, second);
    hours.iter().flat_map(|hour| minutes.iter().filter_map(move |minute| time(*hour, *minute))).collect()
}

/// The positions in a set of `size` that BYSETPOS selects, the last one first.
pub(super) fn places(positions: &[i16], size: usize) -> Vec<usize> {
    let place = |position: &i16| {
        let far = usize::from(position.unsigned_abs());
        if *position > 0 { Some(far - 1).filter(|place| *place < size) } else { size.checked_sub(far) }
    };
    let mut places: Vec<usize> = positions.iter().filter_map(place).collect();
    places.sort_unstable_by(|one, other| other.cmp(one));
    places.dedup();
    places
}
