//! Pure. The recurrence of a reminder: a structured form that is converted to an RRULE and back, and raw RRULEs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{NaiveDate, NaiveTime, Timelike as _};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::rule::{Day, Freq, Rule};
use super::until::Until;
use super::weekday::Weekday;
use crate::zone::Tz;

/// The rhythm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Fires once.
    #[default]
    None,
    /// Every `interval` days.
    Daily,
    /// Every `interval` weeks, on `weekdays` or on the start's.
    Weekly,
    /// Every `interval` months, on `month_day` or on the start's.
    Monthly,
    /// Every `interval` years, on the start's date.
    Yearly,
}

/// When it stops repeating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Not by itself.
    #[default]
    Never,
    /// After this many occurrences.
    After(u32),
    /// After this day, in the reminder's zone.
    Until(NaiveDate),
}

/// A structured recurrence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Recurrence {
    /// The rhythm.
    pub kind: Kind,
    /// Every how many days, weeks, months or years: 1 to 999.
    #[serde(default = "one")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 999))]
    pub interval: u32,
    /// With `weekly` only; empty: the start's weekday.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 7))]
    pub weekdays: BTreeSet<Weekday>,
    /// With `monthly` only: 1 to 31 (months without that day are left out), or -1 for the last day; none: the start's day.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(minimum = -1, maximum = 31))]
    pub month_day: Option<i8>,
    /// Times of the day such as `08:00` and `13:30`, in order: 1 to 48, five minutes apart; empty: the start's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(example = json!(["08:00", "13:30"])))]
    pub times: Vec<String>,
    /// When it stops.
    #[serde(default)]
    pub end: End,
}

fn one() -> u32 {
    1
}

impl Default for Recurrence {
    fn default() -> Self {
        Self {
            kind: Kind::None,
            interval: 1,
            weekdays: BTreeSet::new(),
            month_day: None,
            times: Vec::new(),
            end: End::Never,
        }
    }
}

impl Recurrence {
    /// The RRULE of this recurrence; `None` if it fires once.
    ///
    /// # Errors
    /// If a field is out of range or has no meaning with this kind. The error names the field.
    pub fn to_rrule(&self) -> Result<Option<String>, Error> {
        self.check()?;
        let freq = match self.kind {
            Kind::None => return Ok(None),
            Kind::Daily => "DAILY",
            Kind::Weekly => "WEEKLY",
            Kind::Monthly => "MONTHLY",
            Kind::Yearly => "YEARLY",
        };
        let mut text = format!("FREQ={freq}");
        if self.interval != 1 {
            let _ = write!(text, ";INTERVAL={}", self.interval);
        }
        if !self.weekdays.is_empty() {
            let days: Vec<_> = self.weekdays.iter().map(|day| day.code()).collect();
            let _ = write!(text, ";BYDAY={}", days.join(","));
        }
        if let Some(day) = self.month_day {
            let _ = write!(text, ";BYMONTHDAY={day}");
        }
        if let Some((hours, minutes)) = product(&self.times()?) {
            let list = |values: &[u32]| values.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let _ = write!(text, ";BYHOUR={};BYMINUTE={};BYSECOND=0", list(&hours), list(&minutes));
        }
        match self.end {
            End::Never => {}
            End::After(count) => {
                let _ = write!(text, ";COUNT={count}");
            }
            End::Until(date) => {
                let _ = write!(text, ";UNTIL={}T235959", date.format("%Y%m%d"));
            }
        }
        let rule = Rule::parse(&text)?;
        rule.check()?;
        Ok(Some(rule.to_string()))
    }

    /// The times of day that an RRULE cannot express, such as 08:00 and 13:30 alone; empty if the RRULE contains the
    /// times.
    ///
    /// # Errors
    /// If one is not a time of day.
    pub fn times_beside(&self) -> Result<Vec<NaiveTime>, Error> {
        let times = self.times()?;
        Ok(if product(&times).is_some() { Vec::new() } else { times })
    }

    fn times(&self) -> Result<Vec<NaiveTime>, Error> {
        let bad = || Error::new("recurrence.times", "must be times of the day such as \"08:00\"");
        let read = |text: &String| NaiveTime::parse_from_str(text.trim(), "%H:%M").map_err(|_| bad());
        let mut times = self.times.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        times.sort_unstable();
        Ok(times)
    }

    /// The structured form of an accepted RRULE; `None` if no structured form says the same.
    #[must_use]
    pub fn from_rrule(rrule: Option<&str>) -> Option<Self> {
        Self::from_stored(rrule, &[])
    }

    /// Like [`Self::from_rrule`], with times of day, in minutes from midnight, that the rule does not contain.
    #[must_use]
    pub fn from_stored(rrule: Option<&str>, times: &[i16]) -> Option<Self> {
        let Some(rrule) = rrule else { return Some(Self::default()) };
        let rule = Rule::parse(rrule).ok()?;
        let kind = match rule.freq {
            Freq::Minutely | Freq::Hourly => return None,
            Freq::Daily => Kind::Daily,
            Freq::Weekly => Kind::Weekly,
            Freq::Monthly => Kind::Monthly,
            Freq::Yearly => Kind::Yearly,
        };
        let end = match (rule.count, rule.until) {
            (None, None) => End::Never,
            (Some(count), None) => End::After(count),
            (None, Some(Until::Wall(until))) if Some(until.time()) == NaiveTime::from_hms_opt(23, 59, 59) => {
                End::Until(until.date())
            }
            _ => return None,
        };
        let weekdays = rule.days.iter().map(|day| (day.nth == 0).then_some(day.weekday)).collect::<Option<_>>()?;
        let month_day = match rule.month_days.as_slice() {
            [] => None,
            [day] => Some(*day),
            _ => return None,
        };
        let of_rule = rule.hours.iter().flat_map(|hour| rule.minutes.iter().map(move |minute| hour * 60 + minute));
        let own = times.iter().filter_map(|minutes| u32::try_from(*minutes).ok());
        let times = of_rule.chain(own).map(|minutes| format!("{:02}:{:02}", minutes / 60, minutes % 60)).collect();
        let spec = Self { kind, interval: rule.interval, weekdays, month_day, times, end };
        // anything else in the rule would be lost
        let same = Rule { days: spec.days(), ..rule.bare() };
        let same = match rule.second {
            Some(0) => Rule { hours: rule.hours.clone(), minutes: rule.minutes.clone(), second: rule.second, ..same },
            _ => same,
        };
        if (Rule { month_days: rule.month_days.clone(), ..same }) != rule {
            return None;
        }
        spec.check().is_ok().then_some(spec)
    }

    /// Checks that the times are at least five minutes apart, across midnight as well.
    fn check_times(&self) -> Result<(), Error> {
        let times = self.times()?;
        if times.len() > TIMES_MAX {
            return Err(Error::new("recurrence.times", format_args!("must be at most {TIMES_MAX}")));
        }
        let minutes: Vec<u32> = times.iter().map(|time| time.hour() * 60 + time.minute()).collect();
        let next = minutes.iter().skip(1).copied().chain(minutes.first().map(|first| first + 24 * 60));
        if minutes.iter().zip(next).any(|(minute, next)| next - minute < 5) {
            return Err(Error::new("recurrence.times", "must be five minutes apart: nothing fires more often"));
        }
        Ok(())
    }

    fn days(&self) -> Vec<Day> {
        self.weekdays.iter().map(|weekday| Day { nth: 0, weekday: *weekday }).collect()
    }

    fn check(&self) -> Result<(), Error> {
        if !(1..=999).contains(&self.interval) {
            return Err(Error::new("recurrence.interval", "must be 1 to 999"));
        }
        if self.kind == Kind::None && (self.interval != 1 || self.end != End::Never || !self.times.is_empty()) {
            let message = "`none` fires once: it takes neither an interval, nor times, nor an end";
            return Err(Error::new("recurrence.kind", message));
        }
        self.check_times()?;
        if !self.weekdays.is_empty() && self.kind != Kind::Weekly {
            return Err(Error::new("recurrence.weekdays", "only go with kind `weekly`"));
        }
        match self.month_day {
            Some(_) if self.kind != Kind::Monthly => {
                return Err(Error::new("recurrence.month_day", "only goes with kind `monthly`"));
            }
            Some(day) if day != -1 && !(1..=31).contains(&day) => {
                return Err(Error::new("recurrence.month_day", "must be 1 to 31, or -1 for the last day"));
            }
            _ => {}
        }
        match self.end {
            End::After(count) if !(1..=Rule::COUNT_MAX).contains(&count) => {
                Err(Error::new("recurrence.end", format_args!("`after` must be 1 to {}", Rule::COUNT_MAX)))
            }
            End::Until(date) if !super::range::within_range(date) => {
                Err(Error::new("recurrence.end", "`until` must lie between 1970 and 2199"))
            }
            End::Never | End::After(_) | End::Until(_) => Ok(()),
        }
    }
}

/// The highest number of times of day.
const TIMES_MAX: usize = 48;

/// The hours and minutes whose combinations are exactly these times, as BYHOUR and BYMINUTE express them. `None` if
/// there are no such hours and minutes, or no times.
fn product(times: &[NaiveTime]) -> Option<(Vec<u32>, Vec<u32>)> {
    let set =
        |part: fn(&NaiveTime) -> u32| times.iter().map(part).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    let (hours, minutes) = (set(NaiveTime::hour), set(NaiveTime::minute));
    let distinct = times.iter().collect::<BTreeSet<_>>().len();
    (distinct > 0 && hours.len() * minutes.len() == distinct).then_some((hours, minutes))
}

/// Accepts a raw RRULE and returns its stored form: parts and weekdays in a fixed order, and UNTIL as wall-clock time
/// in `tz`. An UNTIL in UTC stays in UTC if clocks change within about a day of it.
///
/// # Errors
/// If a part is malformed, unknown or too frequent. The error's field is `rrule`.
pub fn accept_rrule(raw: &str, tz: Tz) -> Result<String, Error> {
    let rule = Rule::parse_in(raw, tz)?;
    rule.check()?;
    Ok(rule.to_string())
}
