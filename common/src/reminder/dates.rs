//! Pure. Which dates a rule takes: its BY parts as a question about one date (the table of RFC 5545, section 3.3.10).

use chrono::{Datelike as _, Days, NaiveDate};

use super::recurrence::Weekday;
use super::rule::{Day, Freq, Rule};
use super::steps::Steps;
use super::{Error, within_range};

/// The parts of a rule that choose dates. An empty set chooses all.
#[derive(Debug, Clone)]
pub(super) struct Dates {
    /// Bit 1 is January.
    months: u16,
    /// Bit 1 is the first of a month.
    month_days: u32,
    /// Bit 1 is the last of a month.
    month_days_back: u32,
    /// Bit 0 is Monday.
    weekdays: u8,
    numbered: Vec<Day>,
    /// Numbered days are counted within the year, not within the month.
    of_year: bool,
    year_days: Vec<i16>,
    weeks: Vec<i8>,
    week_start: Weekday,
}

impl Dates {
    /// What `rule` says, and where it says nothing, what its start says.
    pub(super) fn of(rule: &Rule, start: NaiveDate) -> Self {
        let numbered: Vec<Day> = rule.days.iter().copied().filter(|day| day.nth != 0).collect();
        let every = rule.days.iter().filter(|day| day.nth == 0);
        let mut dates = Self {
            months: rule.months.iter().fold(0, |set, month| set | 1 << month),
            month_days: bits(rule.month_days.iter().filter(|day| **day > 0)),
            month_days_back: bits(rule.month_days.iter().filter(|day| **day < 0)),
            weekdays: every.fold(0, |set, day| set | 1 << day.weekday as u8),
            numbered,
            of_year: rule.freq == Freq::Yearly && rule.months.is_empty(),
            year_days: rule.year_days.clone(),
            weeks: rule.weeks.clone(),
            week_start: rule.week_start,
        };
        let says_days =
            !(rule.days.is_empty() && rule.month_days.is_empty() && rule.year_days.is_empty() && rule.weeks.is_empty());
        if !says_days {
            match rule.freq {
                Freq::Minutely | Freq::Hourly | Freq::Daily => {}
                Freq::Weekly => dates.weekdays = 1 << start.weekday().num_days_from_monday(),
                Freq::Monthly => dates.month_days = 1 << start.day(),
                Freq::Yearly => {
                    dates.month_days = 1 << start.day();
                    if rule.months.is_empty() {
                        dates.months = 1 << start.month();
                    }
                }
            }
        }
        dates
    }

    /// Whether the rule takes `date`.
    pub(super) fn take(&self, date: NaiveDate) -> bool {
        self.takes_month(date)
            && self.takes_month_day(date)
            && self.takes_weekday(date)
            && (self.year_days.is_empty() || self.takes_year_day(date))
            && (self.weeks.is_empty() || self.takes_week(date))
    }

    /// The first date from `from` to `last` that the rule takes; each that is looked at is a step.
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
        if self.weekdays == 0 && self.numbered.is_empty() {
            return true;
        }
        self.weekdays & 1 << date.weekday().num_days_from_monday() != 0
            || self.numbered.iter().any(|day| {
                day.weekday as u32 == date.weekday().num_days_from_monday() && {
                    let (place, length) = if self.of_year {
                        (date.ordinal(), days_of_year(date.year()))
                    } else {
                        (date.day(), days_of_month(date))
                    };
                    let nth = if day.nth > 0 { (place - 1) / 7 + 1 } else { (length - place) / 7 + 1 };
                    u32::from(day.nth.unsigned_abs()) == nth
                }
            })
    }

    fn takes_year_day(&self, date: NaiveDate) -> bool {
        let back = days_of_year(date.year()) + 1 - date.ordinal();
        self.year_days.iter().any(|day| {
            let place = if *day > 0 { date.ordinal() } else { back };
            u32::from(day.unsigned_abs()) == place
        })
    }

    /// A week belongs to the year that holds its fourth day; its number counts from there.
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
        self.weeks.iter().any(|week| u32::from(week.unsigned_abs()) == if *week > 0 { number } else { back })
    }
}

/// How many days `date` lies behind the first day of its week.
pub(super) fn days_into_week(date: NaiveDate, week_start: Weekday) -> u32 {
    (date.weekday().num_days_from_monday() + 7 - week_start as u32) % 7
}

fn bits<'a>(days: impl Iterator<Item = &'a i8>) -> u32 {
    days.fold(0, |set, day| set | 1 << day.unsigned_abs())
}

fn days_of_year(year: i32) -> u32 {
    if NaiveDate::from_ymd_opt(year, 12, 31).is_some_and(|last| last.ordinal() == 366) { 366 } else { 365 }
}

pub(super) fn days_of_month(date: NaiveDate) -> u32 {
    match date.month() {
        2 => days_of_year(date.year()) - 337,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
