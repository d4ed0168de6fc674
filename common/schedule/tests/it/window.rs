//! R46, R88: the delivery window.

use chrono::NaiveDateTime;
use schedule::{Edge, OnGap, Schedule, Spec, Window};

use super::{local, schedule_with, utc, zone};

fn edge(text: &str) -> Edge {
    text.parse().map_or_else(|_| Edge::Time(text.to_owned()), Edge::Hour)
}

fn window(start: Option<&str>, end: &str) -> Window {
    Window::parse(start.map(edge).as_ref(), Some(&edge(end))).unwrap().unwrap()
}

/// R46: a window closes at its hour of the occurrence's own day, in the reminder's zone.
#[test]
fn a_delivery_window_closes_once() {
    let berlin = zone("Europe/Berlin");
    let fire_at = utc("2026-06-01 18:00"); // 20:00 in Berlin
    for (end, now, open) in [
        (None, "2026-06-02 00:00", true),
        (Some("21"), "2026-06-01 18:59", true),
        (Some("21"), "2026-06-01 19:00", false),
        (Some("21"), "2026-06-02 05:00", false), // not again on the next morning
        (Some("24"), "2026-06-01 21:59", true),
        (Some("24"), "2026-06-01 22:00", false),
        (Some("20"), "2026-06-01 18:00", false),
        (Some("20:30"), "2026-06-01 18:29", true),
        (Some("20:30"), "2026-06-01 18:30", false),
    ] {
        let window = end.map(|end| window(None, end));
        assert_eq!(Window::is_open(window, berlin, fire_at, utc(now)), open, "{end:?} at {now}");
    }
}

/// R88: a window may begin at any minute, and cross midnight: what fires before it closes on the same day, what fires in the
/// evening on the next.
#[test]
fn a_window_may_cross_midnight() {
    for (tz, start, end, fires, closes) in [
        ("Europe/Berlin", "22", "2", "2026-06-01 20:30", "2026-06-02 00:00"), // 22:30 to 02:00
        ("Europe/Berlin", "22", "2", "2026-06-01 22:30", "2026-06-02 00:00"), // 00:30 to 02:00
        ("Europe/Berlin", "21:30", "06:15", "2026-06-01 19:30", "2026-06-02 04:15"),
        ("Europe/Berlin", "8:30", "18:30", "2026-06-01 08:00", "2026-06-01 16:30"),
        // the night on which clocks go forward in New York: from 23:00 to what clocks show as 03:30, an hour sooner
        ("America/New_York", "22", "3:30", "2026-03-08 04:00", "2026-03-08 07:30"),
        ("America/New_York", "22", "1:30", "2026-11-01 03:00", "2026-11-01 05:30"),
    ] {
        let closed = window(Some(start), end).closes_at(zone(tz), utc(fires));
        assert_eq!(closed, utc(closes), "{start} to {end} in {tz} from {fires}");
    }
    let night = window(Some("22"), "2");
    for (now, open) in
        [("19:59", false), ("20:00", true), ("22:30", true), ("23:59", true), ("00:00", false), ("12:00", false)]
    {
        assert_eq!(night.is_now(zone("Europe/Berlin"), utc(&format!("2026-06-01 {now}"))), open, "{now} UTC");
    }
}

/// R86: a window on the day of a change closes when clocks first show its end or more: as they skip it, at the first of two, and for
/// what fires behind that at the second.
#[test]
fn a_window_closes_on_the_day_of_a_change() {
    for (tz, end, fires, closes) in [
        // forward at 02:00 to 03:00 (07:00 UTC)
        ("America/New_York", "2", "2026-03-08 06:30", "2026-03-08 07:00"),
        ("America/New_York", "2:30", "2026-03-08 06:30", "2026-03-08 07:00"),
        ("America/New_York", "3", "2026-03-08 06:30", "2026-03-08 07:00"),
        ("America/New_York", "4", "2026-03-08 06:30", "2026-03-08 08:00"),
        // forward by two hours at 01:00 (01:00 UTC)
        ("Antarctica/Troll", "2", "2026-03-29 00:30", "2026-03-29 01:00"),
        // no midnight
        ("America/Santiago", "24", "2026-09-05 13:00", "2026-09-06 04:00"),
        // back at 02:00 to 01:00 (06:00 UTC): half past one comes twice
        ("America/New_York", "1:30", "2026-11-01 04:30", "2026-11-01 05:30"),
        ("America/New_York", "1:30", "2026-11-01 06:10", "2026-11-01 06:30"),
        ("America/New_York", "2", "2026-11-01 06:10", "2026-11-01 07:00"),
        ("America/New_York", "24", "2026-11-01 06:10", "2026-11-02 05:00"),
    ] {
        let closed = window(None, end).closes_at(zone(tz), utc(fires));
        assert_eq!(closed, utc(closes), "until {end} in {tz} from {fires}");
    }
}

/// R86: an occurrence that clocks would shift behind the end of its window does not fire, and is among those that are skipped.
#[test]
fn what_is_shifted_out_of_its_window_does_not_fire() {
    for (tz, start, end, nominal, after, next) in [
        ("America/New_York", "2026-03-07 02:30", "3", "2026-03-08 02:30", "2026-03-07 12:00", "2026-03-09 06:30"),
        ("America/New_York", "2026-03-07 02:30", "3:30", "2026-03-08 02:30", "2026-03-07 12:00", "2026-03-09 06:30"),
        ("America/New_York", "2026-03-07 02:30", "3:31", "", "2026-03-07 12:00", "2026-03-08 07:30"),
        ("America/New_York", "2026-03-07 02:30", "4", "", "2026-03-07 12:00", "2026-03-08 07:30"),
        // on the day before midnight, at what is then the next day's 00:30
        ("America/Nuuk", "2026-03-27 23:30", "24", "2026-03-28 23:30", "2026-03-28 12:00", "2026-03-30 00:30"),
    ] {
        let schedule = schedule_with(start, tz, "FREQ=DAILY", &[], OnGap::Shift).within(Some(window(None, end)));
        let found = schedule.following(utc(after), 1).unwrap();
        assert_eq!(found.occurrences[0].at, utc(next), "{tz} until {end}");
        let skipped: Vec<NaiveDateTime> = if nominal.is_empty() { vec![] } else { vec![local(nominal)] };
        assert_eq!(found.skipped, skipped, "{tz} until {end}");
    }
    let end = edge("3");
    let once = Spec { start: "2026-03-08T02:30", timezone: "America/New_York", window_end: Some(&end), ..SPEC };
    assert_eq!(once.check(utc("2026-01-01 00:00"), 1).unwrap_err().field, "window_end");
}

const SPEC: Spec<'_> = Spec {
    start: "2026-06-01T08:00",
    timezone: "Europe/Berlin",
    recurrence: None,
    rrule: None,
    exdates: &[],
    on_gap: OnGap::Shift,
    window_start: None,
    window_end: None,
};

/// R46, R88: each time at which the rule fires lies in the window, or a run would never send; what is no window is named.
#[test]
fn a_window_holds_each_firing() {
    for (start, rrule, window_start, window_end, wrong) in [
        ("2026-06-01T20:59", None, None, "21", None),
        ("2026-06-01T08:00", None, None, "0", Some("window_end")),
        ("2026-06-01T08:00", None, None, "25", Some("window_end")),
        ("2026-06-01T08:00", None, None, "24:01", Some("window_end")),
        ("2026-06-01T08:00", None, None, "18:60", Some("window_end")),
        ("2026-06-01T08:00", None, None, "evening", Some("window_end")),
        ("2026-06-01T20:00", None, None, "20", Some("window_end")),
        ("2026-06-01T20:00", None, None, "20:01", None),
        ("2026-06-01T08:00", Some("FREQ=DAILY;BYHOUR=8,17"), None, "18", None),
        ("2026-06-01T08:00", Some("FREQ=DAILY;BYHOUR=8,18"), None, "18", Some("window_end")),
        ("2026-06-01T08:00", Some("FREQ=HOURLY"), None, "18", Some("window_end")),
        ("2026-06-01T08:00", Some("FREQ=HOURLY"), None, "24", None),
        ("2026-06-01T08:00", Some("FREQ=HOURLY;BYHOUR=8,9,10"), None, "18", None),
        ("2026-06-01T08:00", None, Some("8"), "18", None),
        ("2026-06-01T08:00", None, Some("08:01"), "18", Some("window_start")),
        ("2026-06-01T08:00", None, Some("24"), "18", Some("window_start")),
        ("2026-06-01T08:00", None, Some("9"), "9", Some("window_end")),
        ("2026-06-01T23:00", None, Some("22"), "6", None),
        ("2026-06-01T05:59", None, Some("22"), "6", None),
        ("2026-06-01T06:00", None, Some("22"), "6", Some("window_start")),
        ("2026-06-01T08:00", Some("FREQ=HOURLY;BYHOUR=22,23,0,1"), Some("22"), "2", None),
        ("2026-06-01T08:00", Some("FREQ=HOURLY;BYHOUR=22,23,0,1,2"), Some("22"), "2", Some("window_start")),
        ("2026-06-01T08:00", Some("FREQ=MINUTELY;INTERVAL=30;BYHOUR=9,10"), Some("9"), "11", None),
        ("2026-06-01T08:00", Some("FREQ=MINUTELY;INTERVAL=30;BYHOUR=9,10"), Some("9"), "10:30", Some("window_end")),
    ] {
        let (from, until) = (window_start.map(edge), edge(window_end));
        let spec = Spec { start, rrule, window_start: from.as_ref(), window_end: Some(&until), ..SPEC };
        let checked = spec.check(utc("2026-05-01 00:00"), 1);
        let field = checked.map_err(|error| error.field).err();
        assert_eq!(field, wrong, "{rrule:?} from {start}, {window_start:?} to {window_end}");
    }
    let alone = edge("9");
    let spec = Spec { window_start: Some(&alone), ..SPEC };
    assert_eq!(spec.check(utc("2026-05-01 00:00"), 1).unwrap_err().field, "window_start");
}

/// A window survives its row; a release that knows hours alone writes it, too, and what that has written last counts.
#[test]
fn a_window_is_stored_in_both_ways() {
    for (start, end, hour, edges) in [
        (None, "18", 18, (None, "18")),
        (None, "18:30", 19, (None, "18:30")),
        (Some("9"), "24", 24, (Some("9"), "24")),
        (Some("22"), "06:15", 24, (Some("22"), "06:15")),
    ] {
        let window = window(start, end);
        assert_eq!(window.hour(), hour);
        assert_eq!(window.edges(), (edges.0.map(edge), edge(edges.1)));
        assert_eq!(Window::stored(Some(hour), Some(window.start()), Some(window.end())), Some(window));
    }
    let hours = Window::stored(Some(17), None, None).unwrap();
    assert_eq!(hours, window(None, "17"));
    assert_eq!(Window::stored(Some(17), Some(540), Some(1_080)), Some(hours), "written by the release before");
    assert_eq!(Window::stored(None, Some(540), Some(1_080)), None, "removed by it");
}

/// R86: a schedule with a window is read from its row.
#[test]
fn a_schedule_has_its_window() {
    let stored = schedule::Stored {
        start_local: local("2026-03-07 02:30"),
        start_later: false,
        timezone: "America/New_York",
        rrule: Some("FREQ=DAILY"),
        times: &[],
        exdates: &[],
        on_gap: OnGap::Shift,
        window: Some(window(None, "3")),
    };
    let schedule = Schedule::read(&stored).unwrap();
    assert_eq!(schedule.next_after(utc("2026-03-07 12:00")).unwrap(), Some(utc("2026-03-09 06:30")));
}
