//! Pure. What a reminder repeats on: a structured spec that builds an RRULE and is read back from one, and raw RRULEs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::Error;
use super::rule::{Day, Freq, Rule};
use super::until::Until;

/// The rhythm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
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

/// A day of the week, in calendar order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    /// The week, Monday first.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    /// As an RRULE writes it.
    pub(super) fn code(self) -> &'static str {
        ["MO", "TU", "WE", "TH", "FR", "SA", "SU"][self as usize]
    }

    pub(super) fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|day| day.code() == code)
    }
}

/// When it stops repeating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Recurrence {
    /// The rhythm.
    pub kind: Kind,
    /// Every how many days, weeks, months or years: 1 to 999.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 999)]
    pub interval: u32,
    /// With `weekly` only; empty: the start's weekday.
    #[serde(default)]
    #[schema(max_items = 7)]
    pub weekdays: BTreeSet<Weekday>,
    /// With `monthly` only: 1 to 31 (months without that day are left out), or -1 for the last day; none: the start's day.
    #[serde(default)]
    #[schema(minimum = -1, maximum = 31)]
    pub month_day: Option<i8>,
    /// When it stops.
    #[serde(default)]
    pub end: End,
}

fn one() -> u32 {
    1
}

impl Default for Recurrence {
    fn default() -> Self {
        Self { kind: Kind::None, interval: 1, weekdays: BTreeSet::new(), month_day: None, end: End::Never }
    }
}

impl Recurrence {
    /// The RRULE it stands for; none when it fires once.
    ///
    /// # Errors
    /// When a field is out of its range or has no meaning with this kind; the error names it.
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
        match self.end {
            End::Never => {}
            End::After(count) => {
                let _ = write!(text, ";COUNT={count}");
            }
            End::Until(date) => {
                let _ = write!(text, ";UNTIL={}T235959", date.format("%Y%m%d"));
            }
        }
        Rule::parse(&text)?.check()?;
        Ok(Some(text))
    }

    /// Reads back what an accepted RRULE stands for; none when no structured spec says the same.
    #[must_use]
    pub fn from_rrule(rrule: Option<&str>) -> Option<Self> {
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
        let spec = Self { kind, interval: rule.interval, weekdays, month_day, end };
        // whatever else the rule says would be lost
        let same = Rule { days: spec.days(), ..rule.bare() };
        if (Rule { month_days: rule.month_days.clone(), ..same }) != rule {
            return None;
        }
        spec.check().is_ok().then_some(spec)
    }

    fn days(&self) -> Vec<Day> {
        self.weekdays.iter().map(|weekday| Day { nth: 0, weekday: *weekday }).collect()
    }

    fn check(&self) -> Result<(), Error> {
        if !(1..=999).contains(&self.interval) {
            return Err(Error::new("recurrence.interval", "must be 1 to 999"));
        }
        if self.kind == Kind::None && (self.interval != 1 || self.end != End::Never) {
            return Err(Error::new("recurrence.kind", "`none` fires once: it takes neither an interval nor an end"));
        }
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
            End::Until(date) if !super::within_range(date) => {
                Err(Error::new("recurrence.end", "`until` must lie between 1970 and 2199"))
            }
            End::Never | End::After(_) | End::Until(_) => Ok(()),
        }
    }
}

/// Accepts a raw RRULE and writes it in the one form that is stored: parts in order, weekdays in calendar order, UNTIL as
/// wall-clock time in `tz`, unless it is in UTC and clocks change within a day of it.
///
/// # Errors
/// When a part is malformed, unknown, too frequent or too costly; the error's field is `rrule`.
pub fn accept_rrule(raw: &str, tz: Tz) -> Result<String, Error> {
    let rule = Rule::parse_in(raw, tz)?;
    rule.check()?;
    Ok(rule.to_string())
}
