//! Pure. The delivery window (R46): until what hour of its day a run may send.

use chrono::{DateTime, Days, NaiveDateTime, NaiveTime, Timelike as _, Utc};
use chrono_tz::Tz;

use super::Error;
use super::schedule::instant_of;

/// Checks a window's end against the start: an hour of the reminder's zone, 1 to 24, later than the start.
///
/// # Errors
/// When it is not; the error's field is `window_end`.
pub fn check(end: u8, start: NaiveDateTime) -> Result<(), Error> {
    if !(1..=24).contains(&end) {
        return Err(Error::new("window_end", "must be an hour from 1 to 24"));
    }
    if start.hour() >= u32::from(end) {
        return Err(Error::new("window_end", "must be later than the start's hour, or nothing would ever be sent"));
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
