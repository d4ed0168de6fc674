//! Pure. The delivery window (R46): until what hour of its day a run may send.

use chrono::{DateTime, Days, NaiveDateTime, NaiveTime, Timelike as _, Utc};

use super::Error;
use super::rule::Rule;
use super::zone::instant_of;
use crate::zone::Tz;

/// Checks a window's end: an hour of the reminder's zone, 1 to 24, later than each hour at which the rule fires, which is the
/// start's if the rule does not say.
///
/// # Errors
/// When it is not; the error's field is `window_end`.
pub(super) fn check(end: u8, start: NaiveDateTime, rule: Option<&Rule>) -> Result<(), Error> {
    if !(1..=24).contains(&end) {
        return Err(Error::new("window_end", "must be an hour from 1 to 24"));
    }
    let last = match rule {
        Some(rule) if !rule.hours.is_empty() => rule.hours.iter().copied().max().unwrap_or_default(),
        Some(rule) if rule.freq.is_real_time() => 23,
        _ => start.hour(),
    };
    if last >= u32::from(end) {
        let message =
            format_args!("must be later than {last}, the last hour at which it fires: nothing of that would be sent");
        return Err(Error::new("window_end", message));
    }
    Ok(())
}

/// When the window of an occurrence closes: at that hour of the occurrence's own day, in the reminder's zone.
#[must_use]
pub fn closes_at(end: u8, tz: Tz, fire_at: DateTime<Utc>) -> DateTime<Utc> {
    let day = fire_at.with_timezone(&tz).date_naive();
    let local = match NaiveTime::from_hms_opt(u32::from(end), 0, 0) {
        Some(time) => day.and_time(time),
        None => day.checked_add_days(Days::new(1)).unwrap_or(day).and_time(NaiveTime::MIN),
    };
    instant_of(local, tz)
}

/// Whether a run may still send. Asked before each send; without an end, always.
#[must_use]
pub fn is_open(end: Option<u8>, tz: Tz, fire_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    end.is_none_or(|end| now < closes_at(end, tz, fire_at))
}
