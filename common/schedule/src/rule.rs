//! Pure. The parts of an RRULE (RFC 5545, section 3.3.10): how they are parsed and how they are written.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::ops::RangeInclusive;

use chrono::NaiveTime;

use super::error::Error;
use super::until::Until;
use super::weekday::Weekday;
use crate::zone::Tz;

/// The field of a request that contains a raw rule.
pub(super) const FIELD: &str = "rrule";
/// The highest number of values of a BY part.
const VALUES_MAX: usize = 100;

/// The frequency, from the finest to the coarsest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Freq {
    Minutely,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

impl Freq {
    const NAMES: [(&str, Self); 6] = [
        ("MINUTELY", Self::Minutely),
        ("HOURLY", Self::Hourly),
        ("DAILY", Self::Daily),
        ("WEEKLY", Self::Weekly),
        ("MONTHLY", Self::Monthly),
        ("YEARLY", Self::Yearly),
    ];

    fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, freq)| *freq)
    }

    /// The longest interval: 366 days for minutes and hours, 999 for all others.
    fn most(self) -> u32 {
        match self {
            Self::Minutely => 366 * 24 * 60,
            Self::Hourly => 366 * 24,
            Self::Daily | Self::Weekly | Self::Monthly | Self::Yearly => 999,
        }
    }

    /// Whether it counts elapsed hours and minutes instead of wall-clock time.
    pub(super) fn is_real_time(self) -> bool {
        self <= Self::Hourly
    }
}

impl Display for Freq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, freq)| freq == self).map_or("", |(name, _)| *name);
        f.write_str(name)
    }
}

/// A value of BYDAY: `MO`, `2MO` or `-1FR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day {
    /// Which one of the month or year; negative: counted from the end; 0: each.
    pub(super) nth: i8,
    pub(super) weekday: Weekday,
}

impl Day {
    fn parse(text: &str) -> Option<Self> {
        let (nth, code) = text.split_at_checked(text.len().checked_sub(2)?)?;
        let nth = if nth.is_empty() { 0 } else { signed(nth, 53)? };
        Some(Self { nth, weekday: Weekday::from_code(code)? })
    }
}

impl Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nth != 0 {
            write!(f, "{}", self.nth)?;
        }
        f.write_str(self.weekday.code())
    }
}

/// A parsed RRULE. The list of each BY part is sorted and without duplicates; it is empty if the part is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) freq: Freq,
    pub(super) interval: u32,
    pub(super) count: Option<u32>,
    pub(super) until: Option<Until>,
    pub(super) week_start: Weekday,
    pub(super) days: Vec<Day>,
    pub(super) hours: Vec<u32>,
    pub(super) minutes: Vec<u32>,
    pub(super) months: Vec<u32>,
    pub(super) month_days: Vec<i8>,
    pub(super) positions: Vec<i16>,
    pub(super) weeks: Vec<i8>,
    pub(super) year_days: Vec<i16>,
    /// The second of each minute; `None`: the start's.
    pub(super) second: Option<u32>,
    /// Sorted times of day that replace those of BYHOUR and BYMINUTE. An RRULE cannot express them. Empty: not used.
    pub(super) times: Vec<NaiveTime>,
}

impl Rule {
    /// The highest COUNT. A counted rule is expanded from its start each time.
    pub(super) const COUNT_MAX: u32 = 10_000;

    /// Parses a rule of a request. An UNTIL in UTC becomes wall-clock time in `tz` if that means the same.
    pub(super) fn parse_in(text: &str, tz: Tz) -> Result<Self, Error> {
        let rule = Self::parse(text)?;
        let until = rule.until.map(|until| until.on_the_wall(tz));
        Ok(Self { until, ..rule })
    }

    /// Parses a stored rule.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = split(text)?;
        let freq = parts.remove("FREQ").ok_or_else(|| bad("has no FREQ"))?;
        let freq = Freq::from_name(&freq)
            .ok_or_else(|| bad("FREQ must be MINUTELY, HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY"))?;
        let week_start = parts.remove("WKST").map(|day| {
            Weekday::from_code(&day).ok_or_else(|| bad(format_args!("WKST must be a day such as MO, not `{day}`")))
        });
        let rule = Self {
            freq,
            interval: parts.remove("INTERVAL").map_or(Ok(1), |value| number("INTERVAL", &value, 1..=freq.most()))?,
            count: parts.remove("COUNT").map(|value| number("COUNT", &value, 1..=Self::COUNT_MAX)).transpose()?,
            until: parts.remove("UNTIL").map(|value| until(&value)).transpose()?,
            week_start: week_start.transpose()?.unwrap_or(Weekday::Mon),
            days: list(&mut parts, "BYDAY", Day::parse)?,
            hours: list(&mut parts, "BYHOUR", |text| text.parse().ok().filter(|hour| *hour < 24))?,
            minutes: list(&mut parts, "BYMINUTE", |text| text.parse().ok().filter(|minute| *minute < 60))?,
            months: list(&mut parts, "BYMONTH", |text| text.parse().ok().filter(|month| (1..=12).contains(month)))?,
            month_days: list(&mut parts, "BYMONTHDAY", |text| signed(text, 31))?,
            positions: list(&mut parts, "BYSETPOS", |text| signed(text, 366))?,
            weeks: list(&mut parts, "BYWEEKNO", |text| signed(text, 53))?,
            year_days: list(&mut parts, "BYYEARDAY", |text| signed(text, 366))?,
            second: second(&mut parts)?,
            times: Vec::new(),
        };
        match parts.keys().next() {
            Some(name) => Err(bad(format_args!("{name} is not supported"))),
            None => Ok(rule),
        }
    }
}

impl Rule {
    /// A copy without the BY parts and the start of the week.
    pub(super) fn bare(&self) -> Self {
        Self {
            freq: self.freq,
            interval: self.interval,
            count: self.count,
            until: self.until,
            week_start: Weekday::Mon,
            days: Vec::new(),
            hours: Vec::new(),
            minutes: Vec::new(),
            months: Vec::new(),
            month_days: Vec::new(),
            positions: Vec::new(),
            weeks: Vec::new(),
            year_days: Vec::new(),
            second: None,
            times: Vec::new(),
        }
    }
}

/// Writes the stored form.
impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FREQ={}", self.freq)?;
        if self.interval != 1 {
            write!(f, ";INTERVAL={}", self.interval)?;
        }
        write_list(f, "BYDAY", &self.days)?;
        write_list(f, "BYHOUR", &self.hours)?;
        write_list(f, "BYMINUTE", &self.minutes)?;
        write_list(f, "BYSECOND", self.second.as_slice())?;
        write_list(f, "BYMONTH", &self.months)?;
        write_list(f, "BYMONTHDAY", &self.month_days)?;
        write_list(f, "BYSETPOS", &self.positions)?;
        write_list(f, "BYWEEKNO", &self.weeks)?;
        write_list(f, "BYYEARDAY", &self.year_days)?;
        if self.week_start != Weekday::Mon {
            write!(f, ";WKST={}", self.week_start.code())?;
        }
        if let Some(count) = self.count {
            write!(f, ";COUNT={count}")?;
        }
        if let Some(until) = self.until {
            write!(f, ";UNTIL={until}")?;
        }
        Ok(())
    }
}

fn write_list<T: Display>(f: &mut fmt::Formatter<'_>, name: &str, values: &[T]) -> fmt::Result {
    for (place, value) in values.iter().enumerate() {
        if place == 0 {
            write!(f, ";{name}={value}")?;
        } else {
            write!(f, ",{value}")?;
        }
    }
    Ok(())
}

pub(super) fn bad(message: impl Display) -> Error {
    Error::new(FIELD, message)
}

/// The parts by name. Each may occur once.
fn split(text: &str) -> Result<BTreeMap<String, String>, Error> {
    if text.len() > 1_000 {
        return Err(bad("is longer than 1000 characters"));
    }
    let text = text.trim().to_ascii_uppercase();
    let text = text.strip_prefix("RRULE:").unwrap_or(&text);
    let mut parts = BTreeMap::new();
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(|| bad(format_args!("`{part}` is not NAME=VALUE")))?;
        if parts.insert(name.trim().to_owned(), value.trim().to_owned()).is_some() {
            return Err(bad(format_args!("{name} is given twice")));
        }
    }
    Ok(parts)
}

fn number(name: &str, text: &str, range: RangeInclusive<u32>) -> Result<u32, Error> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| bad(format_args!("{name} must be {} to {}", range.start(), range.end())))
}

/// The values of a BY part, sorted and without duplicates.
fn list<T: Ord>(
    parts: &mut BTreeMap<String, String>,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Error> {
    let Some(text) = parts.remove(name) else { return Ok(Vec::new()) };
    let mut values = Vec::new();
    for value in text.split(',').map(str::trim) {
        values.push(read(value).ok_or_else(|| bad(format_args!("`{value}` is no value of {name}")))?);
    }
    if values.len() > VALUES_MAX {
        return Err(bad(format_args!("{name} has more than {VALUES_MAX} values")));
    }
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

/// The second of each minute. Only one is accepted, since nothing fires more than once in a minute.
fn second(parts: &mut BTreeMap<String, String>) -> Result<Option<u32>, Error> {
    let seconds = list(parts, "BYSECOND", |text| text.parse().ok().filter(|second| *second < 60))?;
    match seconds.as_slice() {
        [] => Ok(None),
        [second] => Ok(Some(*second)),
        _ => Err(bad("BYSECOND must be one value: nothing fires more often than every five minutes")),
    }
}

/// A number from `-most` to `most` other than zero.
fn signed<T: TryFrom<i64>>(text: &str, most: i64) -> Option<T> {
    let number: i64 = text.parse().ok()?;
    let fits = number != 0 && (-most..=most).contains(&number);
    T::try_from(number).ok().filter(|_| fits)
}

fn until(text: &str) -> Result<Until, Error> {
    Until::parse(text)
        .ok_or_else(|| bad("UNTIL must be like 20270101, 20270101T090000 or 20270101T080000Z, between 1970 and 2199"))
}
