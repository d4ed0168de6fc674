//! Pure. When a reminder fires: rules are expanded in floating local time and mapped to instants here.
//!
//! The only user of the crate `rrule`, and only for its arithmetic on a calendar without zones: with zones it drops or
//! doubles occurrences where clocks change. Where a wall-clock time does not exist (clocks go forward) the occurrence
//! is shifted by the gap: 02:30 fires at 03:30; where it exists twice, it fires the first time.

use chrono::MappedLocalTime;
use chrono::{
    DateTime, Datelike as _, Days, Duration, NaiveDate, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _,
    Timelike as _, Utc,
};
use chrono_tz::Tz;

use super::Error;
use super::rule::Rule;

/// A first fire may lie this far in the past: whoever clicks is a little slower than the clock (R43).
pub const GRACE: Duration = Duration::seconds(60);

/// Occurrences looked at in one expansion; more than a counted rule may have.
const STEPS_MAX: u16 = 11_000;

/// A wall-clock time may be this far from the instant it is mapped to: some islands skipped a whole day.
const MARGIN: Days = Days::new(2);

/// A reminder's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Wall-clock time in the reminder's zone.
    pub local: NaiveDateTime,
    /// The instant meant. Where clocks go back, an offset may name the later of two.
    pub at: DateTime<Utc>,
}

impl Start {
    /// Reads a start such as `2026-12-01T09:00`, which is wall-clock time in `tz`, or `2026-12-01T09:00:00+01:00`, an
    /// instant (R40). A time that clocks skip is accepted and shifted; fractions of a second are dropped.
    ///
    /// # Errors
    /// When it is neither, or lies outside 2000 to 2199; the error's field is `start`.
    pub fn parse(text: &str, tz: Tz) -> Result<Self, Error> {
        let text = text.trim();
        let start = if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            let at = instant.with_timezone(&Utc);
            let at = at.with_nanosecond(0).unwrap_or(at);
            Self { local: at.with_timezone(&tz).naive_local(), at }
        } else {
            let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
            let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
            let local = local
                .ok_or_else(|| Error::new("start", "must be like 2026-12-01T09:00 or 2026-12-01T09:00:00+01:00"))?;
            let local = local.with_nanosecond(0).unwrap_or(local);
            Self { local, at: instant_of(local, tz) }
        };
        if within_range(start.local.date()) {
            Ok(start)
        } else {
            Err(Error::new("start", "must lie between 2000 and 2199"))
        }
    }

    /// A start that was stored as wall-clock time.
    #[must_use]
    pub fn stored(local: NaiveDateTime, tz: Tz) -> Self {
        Self { local, at: instant_of(local, tz) }
    }
}

/// When a new reminder fires first (R43): its first occurrence; one up to [`GRACE`] in the past is bumped to the next full
/// minute.
///
/// # Errors
/// When the first occurrence is older, or there is none.
pub fn first_fire(start: Start, tz: Tz, rrule: Option<&str>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
    let first = match rrule {
        None => start.at,
        Some(_) => {
            let first = next_after(start.local, tz, rrule, start.at - Duration::seconds(1))?;
            first.ok_or_else(|| Error::new("recurrence", "has no occurrence at all"))?
        }
    };
    if first > now {
        Ok(first)
    } else if now - first <= GRACE {
        let minute = now.with_second(0).and_then(|now| now.with_nanosecond(0)).unwrap_or(now);
        Ok(minute + Duration::minutes(1))
    } else {
        let late = (now - first).num_minutes();
        let local = first.with_timezone(&tz).format("%Y-%m-%d %H:%M %Z");
        Err(Error::new("start", format_args!("the first occurrence, {local}, is {late} minutes in the past")))
    }
}

/// The first occurrence strictly later than `after`; none when there is no more. `rrule` as accepted by
/// [`super::recurrence`]; none: fires once.
///
/// The cost is bounded: at most some ten thousand steps of calendar arithmetic, about two milliseconds.
///
/// # Errors
/// When the rule is not one that is accepted.
pub fn next_after(
    start: NaiveDateTime,
    tz: Tz,
    rrule: Option<&str>,
    after: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, Error> {
    let Some(rrule) = rrule else {
        return Ok(Some(instant_of(start, tz)).filter(|at| *at > after));
    };
    let rule = Rule::parse(rrule)?;
    rule.check()?;
    // no occurrence before this can be mapped to an instant past `after`
    let from = after.with_timezone(&tz).naive_local().checked_sub_days(MARGIN).unwrap_or(start).max(start);
    let start = nearer_start(&rule, start, from);
    let expanded = expand(&rule, start)?;
    let mut occurrences = expanded.into_iter().take(usize::from(STEPS_MAX)).map(|floating| floating.naive_utc());
    let next = occurrences.find_map(|local| {
        if local < from || !within_range(local.date()) {
            return None;
        }
        Some(instant_of(local, tz)).filter(|at| *at > after)
    });
    Ok(next)
}

/// The instant of a wall-clock time: shifted by the gap where clocks skip it, the first where they repeat it.
#[must_use]
pub fn instant_of(local: NaiveDateTime, tz: Tz) -> DateTime<Utc> {
    match tz.from_local_datetime(&local) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => at.with_timezone(&Utc),
        MappedLocalTime::None => {
            // read on the clock as it stood before the gap, the time lies as far behind the gap as it lay in it
            let before = (1..=52)
                .find_map(|halves| tz.offset_from_local_datetime(&(local - Duration::minutes(30 * halves))).latest());
            let offset = before
                .map_or(TimeDelta::zero(), |offset| TimeDelta::seconds(i64::from(offset.fix().local_minus_utc())));
            (local - offset).and_utc()
        }
    }
}

/// Dates that are computed with at all.
pub(super) fn within_range(date: NaiveDate) -> bool {
    (2000..2200).contains(&date.year())
}

/// Moves the start of an uncounted daily or weekly rule by whole intervals towards `from`, so that old reminders cost no
/// more than new ones. Monthly and yearly rules have few occurrences, and their start's day matters.
fn nearer_start(rule: &Rule, start: NaiveDateTime, from: NaiveDateTime) -> NaiveDateTime {
    let step = match rule.freq.as_str() {
        "DAILY" => i64::from(rule.interval),
        "WEEKLY" => i64::from(rule.interval) * 7,
        _ => return start,
    };
    if rule.count.is_some() {
        return start;
    }
    // one interval less than fits: within a week the days of the rule may lie before the start's weekday
    let intervals = ((from - start).num_days() / step - 1).max(0);
    start + Duration::days(intervals * step)
}

/// The occurrences on a calendar without zones, which for `rrule` is UTC.
fn expand(rule: &Rule, start: NaiveDateTime) -> Result<rrule::RRuleSet, Error> {
    let wrong = |error: rrule::RRuleError| Error::new("rrule", error);
    let floating = Rule { until: None, ..rule.clone() };
    let mut text = floating.to_string();
    if let Some(until) = rule.until {
        text.push_str(&format!(";UNTIL={}Z", until.format("%Y%m%dT%H%M%S")));
    }
    let start = rrule::Tz::UTC.from_utc_datetime(&start);
    let unchecked: rrule::RRule<rrule::Unvalidated> = text.parse().map_err(wrong)?;
    if rule.until.is_some_and(|until| until < start.naive_utc()) {
        return Ok(rrule::RRuleSet::new(start)); // `rrule` refuses an end before the start; it is merely over
    }
    let rule = unchecked.validate(start).map_err(wrong)?;
    Ok(rrule::RRuleSet::new(start).rrule(rule).limit())
}
