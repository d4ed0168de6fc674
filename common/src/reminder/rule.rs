//! Pure. The parts of an RRULE: which are accepted, within which limits, and the one way they are written down.
//!
//! Everything accepted is cheap to expand and means the same in floating local time: nothing finer than a day (but BYHOUR),
//! and no filters under which a daily or weekly rule could search for years in vain.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;

use super::Error;

const FIELD: &str = "rrule";

/// A parsed RRULE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) freq: String,
    pub(super) interval: u32,
    pub(super) count: Option<u32>,
    /// Wall-clock time in the reminder's zone, inclusive.
    pub(super) until: Option<NaiveDateTime>,
    pub(super) week_start: Option<String>,
    /// The BY parts, by name; their values in one order.
    pub(super) by: BTreeMap<String, Vec<String>>,
}

impl Rule {
    /// The longest that a counted reminder may run: counting means expanding from the start each time.
    pub(super) const COUNT_MAX: u32 = 10_000;

    /// Reads a stored rule: its UNTIL is wall-clock time.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_in(text, Tz::UTC)
    }

    /// Reads a rule from outside: an UNTIL in UTC becomes wall-clock time in `tz`.
    pub(super) fn parse_in(text: &str, tz: Tz) -> Result<Self, Error> {
        if text.len() > 1_000 {
            return Err(bad("is longer than 1000 characters"));
        }
        let text = text.trim().to_ascii_uppercase();
        let text = text.strip_prefix("RRULE:").unwrap_or(&text);
        let mut parts = BTreeMap::new();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| bad(format_args!("`{part}` is not NAME=VALUE")))?;
            if parts.insert(name.trim().to_owned(), value.trim().to_owned()).is_some() {
                return Err(bad(format_args!("{name} stands there twice")));
            }
        }
        let rule = Self {
            freq: parts.remove("FREQ").ok_or_else(|| bad("has no FREQ"))?,
            interval: parts.remove("INTERVAL").map_or(Ok(1), |value| number("INTERVAL", &value, 1, 999))?,
            count: parts.remove("COUNT").map(|value| number("COUNT", &value, 1, Self::COUNT_MAX)).transpose()?,
            until: parts.remove("UNTIL").map(|value| until(&value, tz)).transpose()?,
            week_start: parts.remove("WKST"),
            by: parts
                .into_iter()
                .map(|(name, value)| values(&name, &value).map(|values| (name, values)))
                .collect::<Result<_, _>>()?,
        };
        Ok(rule)
    }

    /// Holds the limits.
    pub(super) fn check(&self) -> Result<(), Error> {
        let coarse = match self.freq.as_str() {
            "DAILY" | "WEEKLY" => false,
            "MONTHLY" | "YEARLY" => true,
            _ => return Err(bad("FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY")),
        };
        if self.count.is_some() && self.until.is_some() {
            return Err(bad("has both COUNT and UNTIL"));
        }
        if self.week_start.as_deref().is_some_and(|day| weekday(day).is_none()) {
            return Err(bad("WKST must be a day such as MO"));
        }
        let filtered = self.by.keys().any(|name| name == "BYMONTH" || (name == "BYDAY" && self.freq == "DAILY"));
        if self.interval > 1 && filtered && self.freq != "YEARLY" {
            return Err(bad("an INTERVAL above 1 does not go with BYMONTH, nor with BYDAY on a daily rule"));
        }
        if !coarse && let Some(name) = self.by.keys().find(|name| *name == "BYMONTHDAY" || *name == "BYSETPOS") {
            return Err(bad(format_args!("{name} only goes with FREQ=MONTHLY or YEARLY")));
        }
        let numbered = self.by.get("BYDAY").is_some_and(|days| days.iter().any(|day| day.len() > 2));
        if numbered && !coarse {
            return Err(bad("numbered days such as 2MO only go with FREQ=MONTHLY or YEARLY"));
        }
        if self.by.contains_key("BYSETPOS") && self.by.keys().all(|name| name == "BYSETPOS") {
            return Err(bad("BYSETPOS needs another BY part to choose from"));
        }
        self.check_days_exist()
    }

    /// Refuses what no year has, such as 30 February.
    fn check_days_exist(&self) -> Result<(), Error> {
        let (Some(months), Some(days)) = (self.by.get("BYMONTH"), self.by.get("BYMONTHDAY")) else { return Ok(()) };
        let longest = months.iter().map(|month| match month.as_str() {
            "2" => 29,
            "4" | "6" | "9" | "11" => 30,
            _ => 31,
        });
        let longest = longest.max().unwrap_or(31);
        let possible = days.iter().filter_map(|day| day.parse::<i32>().ok()).any(|day| day.abs() <= longest);
        if possible { Ok(()) } else { Err(bad("names a day that those months never have")) }
    }
}

/// The stored form.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FREQ={}", self.freq)?;
        if self.interval != 1 {
            write!(f, ";INTERVAL={}", self.interval)?;
        }
        for (name, values) in &self.by {
            write!(f, ";{name}={}", values.join(","))?;
        }
        if let Some(day) = &self.week_start {
            write!(f, ";WKST={day}")?;
        }
        if let Some(count) = self.count {
            write!(f, ";COUNT={count}")?;
        }
        if let Some(until) = self.until {
            write!(f, ";UNTIL={}", until.format("%Y%m%dT%H%M%S"))?;
        }
        Ok(())
    }
}

fn bad(message: impl fmt::Display) -> Error {
    Error::new(FIELD, message)
}

fn number(name: &str, text: &str, least: u32, most: u32) -> Result<u32, Error> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| bad(format_args!("{name} must be {least} to {most}")))
}

/// The values of a BY part: each once, in one order.
fn values(name: &str, text: &str) -> Result<Vec<String>, Error> {
    let mut values: Vec<(i64, String)> = Vec::new();
    for value in text.split(',') {
        let place = match name {
            "BYDAY" => day_place(value),
            "BYMONTHDAY" => within(value, -31, 31),
            "BYMONTH" => within(value, 1, 12),
            "BYSETPOS" => within(value, -366, 366),
            "BYHOUR" => value.parse().ok().filter(|hour| (0..=23).contains(hour)),
            _ => return Err(bad(format_args!("{name} is not supported"))),
        };
        let place = place.ok_or_else(|| bad(format_args!("`{value}` is no value of {name}")))?;
        let value = if name == "BYDAY" { value.trim_start_matches('+').to_owned() } else { place.to_string() };
        values.push((place, value));
    }
    values.sort();
    values.dedup();
    Ok(values.into_iter().map(|(_, value)| value).collect())
}

fn within(text: &str, least: i64, most: i64) -> Option<i64> {
    text.parse().ok().filter(|number| *number != 0 && (least..=most).contains(number))
}

/// `MO`, `2MO` or `-1FR`, as a place in calendar order.
fn day_place(text: &str) -> Option<i64> {
    let (number, day) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let number = if number.is_empty() { 0 } else { within(number, -5, 5)? };
    Some(number * 7 + weekday(day)?)
}

fn weekday(code: &str) -> Option<i64> {
    ["MO", "TU", "WE", "TH", "FR", "SA", "SU"].iter().zip(0..).find(|(name, _)| **name == code).map(|(_, place)| place)
}

/// A date (its whole day counts), a wall-clock time, or a time in UTC.
fn until(text: &str, tz: Tz) -> Result<NaiveDateTime, Error> {
    let parsed = if let Ok(date) = NaiveDate::parse_from_str(text, "%Y%m%d") {
        NaiveTime::from_hms_opt(23, 59, 59).map(|end| date.and_time(end))
    } else if let Some(utc) = text.strip_suffix('Z') {
        let utc = NaiveDateTime::parse_from_str(utc, "%Y%m%dT%H%M%S").ok();
        utc.map(|utc| Utc.from_utc_datetime(&utc).with_timezone(&tz).naive_local())
    } else {
        NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").ok()
    };
    parsed
        .filter(|until| super::schedule::within_range(until.date()))
        .ok_or_else(|| bad("UNTIL must be like 20270101, 20270101T090000 or 20270101T080000Z, between 2000 and 2199"))
}
