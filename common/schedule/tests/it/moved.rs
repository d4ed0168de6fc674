//! Where a planned occurrence lies when the zone data behind it changes.

use chrono::Duration;
use schedule::{OnGap, Schedule};

use super::{local, schedule, utc, zone};

/// What was planned with other data goes to the nearest occurrence of today's, and stays where it reads right.
#[test]
fn what_was_planned_moves_to_where_it_belongs() {
    let daily = schedule("2026-06-01 09:00", "Europe/Berlin", "FREQ=DAILY");
    let (right, next_day) = (utc("2026-06-10 07:00"), utc("2026-06-11 07:00"));
    assert_eq!(daily.moved(right, None).unwrap(), None);
    for hours in [-11, -2, -1, 1, 2, 11] {
        assert_eq!(daily.moved(right + Duration::hours(hours), None).unwrap(), Some(right), "{hours}");
    }
    // it does not fire again what has fired
    assert_eq!(daily.moved(right + Duration::hours(1), Some(right)).unwrap(), Some(next_day));
    // a first fire in its minute of grace stays
    assert_eq!(daily.moved(utc("2026-06-01 07:01"), None).unwrap(), None);
    let last = schedule("2026-06-01 09:00", "Europe/Berlin", "FREQ=DAILY;COUNT=2");
    assert_eq!(last.moved(utc("2026-06-02 08:00"), Some(utc("2026-06-02 07:30"))).unwrap(), None, "there is no other");
}

/// A one-off, also one that was meant for the later of two equal times.
#[test]
fn a_one_off_moves_too() {
    let once =
        |start| Schedule::new(local(start), zone("America/New_York"), None, Default::default(), OnGap::Shift).unwrap();
    let plain = once("2026-06-01 09:00");
    assert_eq!(plain.moved(utc("2026-06-01 14:00"), None).unwrap(), Some(utc("2026-06-01 13:00")));
    assert_eq!(plain.moved(utc("2026-06-01 13:00"), None).unwrap(), None);
    let twice = once("2026-11-01 01:30");
    for meant in ["2026-11-01 05:30", "2026-11-01 06:30"] {
        assert_eq!(twice.moved(utc(meant), None).unwrap(), None, "{meant}");
    }
    let skipped = once("2026-03-08 02:30");
    assert_eq!(skipped.moved(utc("2026-03-08 07:30"), None).unwrap(), None);
}

/// Many a day: the nearest.
#[test]
fn a_frequent_one_moves_to_the_nearest() {
    let often = schedule("2026-06-01 00:00", "Asia/Kathmandu", "FREQ=MINUTELY;INTERVAL=5");
    assert_eq!(often.moved(utc("2026-06-10 12:00"), None).unwrap(), None);
    assert_eq!(often.moved(utc("2026-06-10 12:02"), None).unwrap(), Some(utc("2026-06-10 12:00")));
    let hours = schedule("2026-06-01 00:00", "Asia/Kathmandu", "FREQ=DAILY;BYHOUR=0,6,12,18");
    assert_eq!(hours.moved(utc("2026-06-10 13:00"), None).unwrap(), Some(utc("2026-06-10 12:15")));
}
