//! Pure. Decides which dates a rule selects: its BY parts as a test of one date (the table of RFC 5545, section
//! 3.3.10).

use chrono::{Datelike as _, Days, NaiveDate};

use super::error::Error;
use super::range::within_range;
use super::rule::{Freq, Rule};
use super::steps::Steps;
use super::weekday::Weekday;

/// The parts of a rule that select dates. An empty set selects all dates.
///
/// All sets are bit sets, so that a test of a date costs the same for every rule.
#[derive(Debug, Clone)]
pub(super) struct Dates {
    /// Bit 1 is January.
    months: u16,
    /// Bit 1 is the first day of a month.
    month_days: u32,
    /// Bit 1 is the last day of a month.
    month_days_back: u32,
    /// Bit 0 is Monday.
    weekdays: u8,
    /// The numbers of each weekday (`2MO`, `-1FR`), Monday first.
    numbered: [Places<1>; 7],
    /// Whether there are numbered weekdays.
    has_numbered: bool,
    /// Whether numbered weekdays are counted within the year instead of the month.
    of_year: bool,
    year_days: Places<6>,
    has_year_days: bool,
    weeks: Places<1>,
    has_weeks: bool,
    week_start: Weekday,
}

/// Positions in a period, counted from one, from its start and from its end. The highest position is `64 * WORDS - 1`.
#[derive(Debug, Clone, Copy)]
struct Places<const WORDS: usize> {
    forward: [u64; WORDS],
    back: [u64; WORDS],
}

impl<const WORDS: usize> Places<WORDS> {
    const NONE: Self = Self { forward: [0; WORDS], back: [0; WORDS] };

    /// Builds the sets. A negative number counts from the end.
    fn of(numbers: impl Iterator<Item = i16>) -> Self {
        let mut places = Self::NONE;
        for number in numbers {
            places.add(number);
        }
        places
    }

    fn add(&mut self, number: i16) {
        let place = usize::from(number.unsigned_abs());
        let words = if number > 0 { &mut self.forward } else { &mut self.back };
        if let Some(word) = words.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    /// Whether the sets contain the position that is `forward` from the start and `back` from the end.
    fn hold(&self, forward: u32, back: u32) -> bool {
        let is_set = |words: &[u64; WORDS], place: u32| {
            words.get(place as usize / 64).is_some_and(|word| word & 1 << (place % 64) != 0)
        };
        is_set(&self.forward, forward) || is_set(&self.back, back)
    }
}

impl Dates {
    /// The date parts of `rule`, completed from the start date where the rule has none.
    pub(super) fn of(rule: &Rule, start: NaiveDate) -> Self {
        let every = rule.days.iter().filter(|day| day.nth == 0);
        let mut dates = Self {
            months: rule.months.iter().fold(0, |set, month| set | 1 << month),
            month_days: bits(rule.month_days.iter().filter(|day| **day > 0)),
            month_days_back: bits(rule.month_days.iter().filter(|day| **day < 0)),
            weekdays: every.fold(0, |set, day| set | 1 << day.weekday as u8),
            numbered: [Places::NONE; 7],
            has_numbered: rule.days.iter().any(|day| day.nth != 0),
            of_year: rule.freq == Freq::Yearly && rule.months.is_empty(),
            year_days: Places::of(rule.year_days.iter().copied()),
            has_year_days: !rule.year_days.is_empty(),
            weeks: Places::of(rule.weeks.iter().map(|week| i16::from(*week))),
            has_weeks: !rule.weeks.is_empty(),
            week_start: rule.week_start,
        };
        for day in rule.days.iter().filter(|day| day.nth != 0) {
            dates.numbered[day.weekday as usize].add(day.nth.into());
        }
        dates.take_from(rule, start);
        dates
    }

    /// Fills in the parts that the rule leaves to its start.
    fn take_from(&mut self, rule: &Rule, start: NaiveDate) {
        let says_days =
            !(rule.days.is_empty() && rule.month_days.is_empty() && rule.year_days.is_empty() && rule.weeks.is_empty());
        if says_days {
            // week numbers without weekdays: the start's weekday of each week
            if rule.days.is_empty() && rule.month_days.is_empty() && rule.year_days.is_empty() {
                self.weekdays = 1 << start.weekday().num_days_from_monday();
            }
            return;
        }
        match rule.freq {
            Freq::Minutely | Freq::Hourly | Freq::Daily => {}
            Freq::Weekly => self.weekdays = 1 << start.weekday().num_days_from_monday(),
            Freq::Monthly => self.month_days = 1 << start.day(),
            Freq::Yearly => {
                self.month_days = 1 << start.day();
                if rule.months.is_empty() {
                    self.months = 1 << start.month();
                }
            }
        }
    }

    /// Whether the rule selects `date`.
    pub(super) fn take(&self, date: NaiveDate) -> bool {
        self.takes_month(date)
            && self.takes_month_day(date)
            && self.takes_weekday(date)
            && (!self.has_year_days || self.takes_year_day(date))
            && (!self.has_weeks || self.takes_week(date))
    }

    /// The first date from `from` to `last` that the rule selects. Each date that is tested costs a step.
    pub(super) fn next(&self, from: NaiveDate, last: NaiveDate, steps: &mut Steps) -> Result<Option<NaiveDate>, Error> {
        let mut date = from;
        while date <= last && within_range(date) {
            steps.take(1)?;
            if self.take(date) {
                return Ok(Some(date));
            }
            let ahead = if self.takes_month(date) { 1 } else { days_of_month(date) + 1 - date.day() };
            let Some(next) = date.checked_add_days(Days::new(ahead.into())) else { break };
            date = next;
        }
        Ok(None)
    }

    fn takes_month(&self, date: NaiveDate) -> bool {
        self.months == 0 || self.months & 1 << date.month() != 0
    }

    fn takes_month_day(&self, date: NaiveDate) -> bool {
        if self.month_days | self.month_days_back == 0 {
            return true;
        }
        self.month_days & 1 << date.day() != 0
            || (self.month_days_back != 0 && self.month_days_back & 1 << (days_of_month(date) + 1 - date.day()) != 0)
    }

    fn takes_weekday(&self, date: NaiveDate) -> bool {
        if self.weekdays == 0 && !self.has_numbered {
            return true;
        }
        let weekday = date.weekday().num_days_from_monday();
        self.weekdays & 1 << weekday != 0
            || (self.has_numbered && {
                let (place, length) = if self.of_year {
                    (date.ordinal(), days_of_year(date.year()))
                } else {
                    (date.day(), days_of_month(date))
                };
                self.numbered[weekday as usize].hold((place - 1) / 7 + 1, (length - place) / 7 + 1)
            })
    }

    fn takes_year_day(&self, date: NaiveDate) -> bool {
        self.year_days.hold(date.ordinal(), days_of_year(date.year()) + 1 - date.ordinal())
    }

    /// A week belongs to the year that contains its fourth day, and is numbered within that year.
    fn takes_week(&self, date: NaiveDate) -> bool {
        let into_week = days_into_week(date, self.week_start);
        let fourth = if into_week <= 3 {
            date.checked_add_days(Days::new((3 - into_week).into()))
        } else {
            date.checked_sub_days(Days::new((into_week - 3).into()))
        };
        let Some(fourth) = fourth else { return false };
        let number = fourth.ordinal0() / 7 + 1;
        let back = (days_of_year(fourth.year()) - fourth.ordinal()) / 7 + 1;
        self.weeks.hold(number, back)
    }
}

/// The number of days from the first day of the week to `date`.
pub(super) fn days_into_week(date: NaiveDate, week_start: Weekday) -> u32 {
    (date.weekday().num_days_from_monday() + 7 - week_start as u32) % 7
}

fn bits<'a>(days: impl Iterator<Item = &'a i8>) -> u32 {
    days.fold(0, |set, day| set | 1 << day.unsigned_abs())
}

fn days_of_year(year: i32) -> u32 {
    if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 366 } else { 365 }
}

pub(super) fn days_of_month(date: NaiveDate) -> u32 {
    match date.month() {
        2 => days_of_year(date.year()) - 337,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
