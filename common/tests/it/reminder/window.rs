//! R46: the delivery window.

use common::reminder::{OnGap, Spec, window};

use super::{utc, zone};

/// R46: a window closes at its hour of the occurrence's own day, in the reminder's zone.
#[test]
fn a_delivery_window_closes_once() {
    let berlin = zone("Europe/Berlin");
    let fire_at = utc("2026-06-01 18:00"); // 20:00 in Berlin
    for (end, now, open) in [
        (None, "2026-06-02 00:00", true),
        (Some(21), "2026-06-01 18:59", true),
        (Some(21), "2026-06-01 19:00", false),
        (Some(21), "2026-06-02 05:00", false), // not again on the next morning
        (Some(24), "2026-06-01 21:59", true),
        (Some(24), "2026-06-01 22:00", false),
        (Some(20), "2026-06-01 18:00", false),
    ] {
        assert_eq!(window::is_open(end, berlin, fire_at, utc(now)), open, "{end:?} at {now}");
    }
}

/// R46: the window ends later than every hour at which the rule fires, or a run would never send.
#[test]
fn a_window_ends_behind_the_last_firing() {
    for (start, rrule, end, ok) in [
        ("2026-06-01T20:59", None, 21, true),
        ("2026-06-01T08:00", None, 0, false),
        ("2026-06-01T08:00", None, 25, false),
        ("2026-06-01T20:00", None, 20, false),
        ("2026-06-01T08:00", Some("FREQ=DAILY;BYHOUR=8,17"), 18, true),
        ("2026-06-01T08:00", Some("FREQ=DAILY;BYHOUR=8,18"), 18, false),
        ("2026-06-01T08:00", Some("FREQ=HOURLY"), 18, false),
        ("2026-06-01T08:00", Some("FREQ=HOURLY"), 24, true),
        ("2026-06-01T08:00", Some("FREQ=HOURLY;BYHOUR=8,9,10"), 18, true),
    ] {
        let spec = Spec {
            start,
            timezone: "Europe/Berlin",
            recurrence: None,
            rrule,
            exdates: &[],
            on_gap: OnGap::Shift,
            window_end: Some(end),
        };
        let checked = spec.check(utc("2026-05-01 00:00"), 1);
        assert_eq!(checked.map_err(|error| error.field).err(), (!ok).then_some("window_end"), "{rrule:?} until {end}");
    }
}
