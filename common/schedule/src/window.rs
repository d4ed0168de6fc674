//! Pure. The delivery window: the times of day between which a run may send. It may cross midnight.

use chrono::{DateTime, Days, Duration, NaiveDateTime, NaiveTime, Timelike as _, Utc};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::rule::{Freq, Rule};
use super::wall_clock::{Local, last_shown};
use crate::zone::Tz;

/// Minutes in a day.
const DAY: u16 = 24 * 60;

/// A beginning or an end of a window, as it is written in requests and answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged, expecting = "an hour from 0 to 24 such as 18, or a time such as \"18:30\"")]
pub enum Edge {
    /// A full hour.
    #[cfg_attr(feature = "openapi", schema(example = 18))]
    Hour(u8),
    /// A time to the minute.
    #[cfg_attr(feature = "openapi", schema(example = "18:30"))]
    Time(String),
}

impl Edge {
    /// Minutes from midnight, 0 to 1,440; `None` if this is not a time of day.
    fn minutes(&self) -> Option<u16> {
        match self {
            Self::Hour(hour) => Some(u16::from(*hour) * 60).filter(|minutes| *minutes <= DAY),
            Self::Time(text) => {
                let (hour, minute) = text.trim().split_once(':')?;
                let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
                Some(hour * 60 + minute).filter(|minutes| minute < 60 && hour <= 24 && *minutes <= DAY)
            }
        }
    }

    fn of(minutes: u16) -> Self {
        match (minutes / 60, minutes % 60) {
            (hour, 0) => Self::Hour(u8::try_from(hour).unwrap_or(24)),
            (hour, minute) => Self::Time(format!("{hour:02}:{minute:02}")),
        }
    }
}

/// A window from one time of day to another. It ends on the next day if the end is no later than the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    start: u16,
    end: u16,
}

impl Window {
    /// Parses a window; `None` if neither edge is given. A missing beginning means midnight.
    ///
    /// # Errors
    /// If an edge is not a time of day, if both are the same, or if only the beginning is given. The error names the
    /// field.
    pub fn parse(start: Option<&Edge>, end: Option<&Edge>) -> Result<Option<Self>, Error> {
        let words = "must be an hour from 0 to 24 such as 18, or a time such as \"18:30\"";
        let start = start.map(|start| {
            let minutes = start.minutes().filter(|start| *start < DAY);
            minutes.ok_or_else(|| Error::new("window_start", words.replace("24", "23")))
        });
        let start = start.transpose()?;
        let Some(end) = end else {
            let alone = Error::new("window_start", "only goes with `window_end`");
            return if start.is_some() { Err(alone) } else { Ok(None) };
        };
        let end = end.minutes().ok_or_else(|| Error::new("window_end", words))?;
        let window = Self { start: start.unwrap_or(0), end };
        if window.start == window.end || (start.is_none() && end == 0) {
            return Err(Error::new(
                "window_end",
                "must be later than the beginning of the window: it would never be open",
            ));
        }
        Ok(Some(window))
    }

    /// The window of a row. `hour` is the closing hour that earlier releases read and write. `start` and `end` are
    /// minutes from midnight. If they disagree with `hour`, an earlier release wrote the row last, and `hour` counts.
    #[must_use]
    pub fn stored(hour: Option<i16>, start: Option<i16>, end: Option<i16>) -> Option<Self> {
        let minutes = |value: i16| u16::try_from(value).ok().filter(|minutes| *minutes <= DAY);
        let exact = start.and_then(minutes).zip(end.and_then(minutes)).map(|(start, end)| Self { start, end });
        let hour = hour?;
        exact.filter(|window| window.hour() == hour).or_else(|| Some(Self { start: 0, end: minutes(hour)? * 60 }))
    }

    /// The closing hour for earlier releases, which know neither minutes nor windows across midnight.
    #[must_use]
    pub fn hour(self) -> i16 {
        let hour = if self.crosses_midnight() { 24 } else { self.end.div_ceil(60) };
        i16::try_from(hour).unwrap_or(24)
    }

    /// The beginning in minutes from midnight.
    #[must_use]
    pub fn start(self) -> i16 {
        i16::try_from(self.start).unwrap_or(0)
    }

    /// The end in minutes from midnight.
    #[must_use]
    pub fn end(self) -> i16 {
        i16::try_from(self.end).unwrap_or(1_440)
    }

    /// The window as written in answers: the beginning, unless it is midnight, and the end.
    #[must_use]
    pub fn edges(self) -> (Option<Edge>, Edge) {
        ((self.start > 0).then(|| Edge::of(self.start)), Edge::of(self.end))
    }

    fn crosses_midnight(self) -> bool {
        self.end < self.start
    }

    fn holds_minute(self, minute: u16) -> bool {
        if self.crosses_midnight() {
            minute >= self.start || minute < self.end
        } else {
            (self.start..self.end).contains(&minute)
        }
    }

    /// Whether the window contains a wall-clock time.
    fn holds(self, local: NaiveDateTime) -> bool {
        self.holds_minute(u16::try_from(local.hour() * 60 + local.minute()).unwrap_or(0))
    }

    /// The wall-clock time at which the window closes that contains `local`.
    fn close_of(self, local: NaiveDateTime) -> NaiveDateTime {
        let next = self.crosses_midnight() && local.hour() * 60 + local.minute() >= u32::from(self.start);
        let midnight = local.date().and_time(NaiveTime::MIN);
        let day = if next { midnight.checked_add_days(Days::new(1)).unwrap_or(midnight) } else { midnight };
        day + Duration::minutes(self.end.into())
    }

    /// When the window of an occurrence closes, in the reminder's zone: the first instant at which clocks show the end
    /// or more. If they show it twice, the first time after the occurrence counts. If they skip it, the window closes
    /// at the gap.
    #[must_use]
    pub fn closes_at(self, tz: Tz, fire_at: DateTime<Utc>) -> DateTime<Utc> {
        self.close_behind(fire_at.with_timezone(&tz).naive_local(), tz, fire_at)
    }

    /// Like [`Self::closes_at`] for an occurrence whose rule names `nominal`. Clocks may show another time, even on
    /// another day.
    pub(super) fn close_behind(self, nominal: NaiveDateTime, tz: Tz, fire_at: DateTime<Utc>) -> DateTime<Utc> {
        let close = self.close_of(nominal);
        match tz.local(close) {
            Local::Once(at) => at,
            Local::Twice(first, second) => {
                if first > fire_at {
                    first
                } else {
                    second
                }
            }
            Local::Skipped(_) => last_shown(close, tz) + Duration::seconds(1),
        }
    }

    /// Whether a run may still send. It is checked before each send. Always true without a window.
    #[must_use]
    pub fn is_open(window: Option<Self>, tz: Tz, fire_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        window.is_none_or(|window| now < window.closes_at(tz, fire_at))
    }

    /// Whether clocks show a time within the window now.
    #[must_use]
    pub fn is_now(self, tz: Tz, now: DateTime<Utc>) -> bool {
        self.holds(now.with_timezone(&tz).naive_local())
    }

    /// The time of day at which the window opens.
    #[must_use]
    pub fn opens(self) -> String {
        format!("{:02}:{:02}", self.start / 60, self.start % 60)
    }

    /// Checks that the window contains each time at which the rule fires. Otherwise nothing of those occurrences would
    /// be sent.
    ///
    /// # Errors
    /// If it does not contain one of them. The error names the field.
    pub(super) fn check(self, start: NaiveDateTime, rule: Option<&Rule>) -> Result<(), Error> {
        let minutes = |values: &[u32], own: u32, all: u32| match values {
            [] if all > 0 => (0..all).collect(),
            [] => vec![own],
            values => values.to_vec(),
        };
        let fires: Vec<u32> = match rule {
            Some(rule) if !rule.times.is_empty() => {
                rule.times.iter().map(|time| time.hour() * 60 + time.minute()).collect()
            }
            Some(rule) => {
                let real = rule.freq.is_real_time();
                // elapsed hours can meet every minute that wall clocks show
                let any_minute =
                    real && (rule.freq == Freq::Minutely || !rule.hours.is_empty() || !self.is_full_hours());
                let hours = minutes(&rule.hours, start.hour(), if real { 24 } else { 0 });
                let within = minutes(&rule.minutes, start.minute(), if any_minute { 60 } else { 0 });
                hours.iter().flat_map(|hour| within.iter().map(move |minute| hour * 60 + minute)).collect()
            }
            None => vec![start.hour() * 60 + start.minute()],
        };
        let out = |minute: &&u32| !self.holds_minute(u16::try_from(**minute).unwrap_or(DAY));
        let Some(out) = fires.iter().filter(out).max() else { return Ok(()) };
        let time = format!("{:02}:{:02}", out / 60, out % 60);
        let is_early = *out < u32::from(self.start);
        let field = if is_early { "window_start" } else { "window_end" };
        let order = if is_early { "earlier" } else { "later" };
        let message = format_args!("must be {order} than {time}, when it fires: nothing of that would be sent");
        Err(Error::new(field, message))
    }

    fn is_full_hours(self) -> bool {
        self.start.is_multiple_of(60) && self.end.is_multiple_of(60)
    }
}
