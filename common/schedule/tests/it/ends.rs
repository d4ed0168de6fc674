//! R41: where a rule ends, in the spellings of UNTIL and where clocks change; and days that exceptions leave out.

use chrono::Days;
use schedule::recurrence::accept_rrule;
use schedule::zone::Tz;
use schedule::{OnGap, Recurrence, summary};

use super::{local, occurrences, schedule, schedule_with, shown, utc, zone};

/// Zone, start, rule, all its occurrences in UTC.
type Row<'a> = (&'a str, &'a str, &'a str, &'a [&'a str]);

/// Each spelling means what it says, to the second.
#[test]
fn each_spelling_ends_where_it_says() {
    let table: [Row<'_>; 9] = [
        // the whole day, of the zone
        ("Asia/Tokyo", "2026-06-01 23:30", "FREQ=DAILY;UNTIL=20260602", &["2026-06-01 14:30", "2026-06-02 14:30"]),
        ("America/New_York", "2026-06-01 23:30", "FREQ=DAILY;UNTIL=20260601", &["2026-06-02 03:30"]),
        // wall-clock time, inclusive
        (
            "Asia/Tokyo",
            "2026-06-01 09:00",
            "FREQ=DAILY;UNTIL=20260602T090000",
            &["2026-06-01 00:00", "2026-06-02 00:00"],
        ),
        ("Asia/Tokyo", "2026-06-01 09:00", "FREQ=DAILY;UNTIL=20260602T085959", &["2026-06-01 00:00"]),
        // an instant, inclusive
        (
            "Asia/Tokyo",
            "2026-06-01 09:00",
            "FREQ=DAILY;UNTIL=20260602T000000Z",
            &["2026-06-01 00:00", "2026-06-02 00:00"],
        ),
        ("Asia/Tokyo", "2026-06-01 09:00", "FREQ=DAILY;UNTIL=20260601T235959Z", &["2026-06-01 00:00"]),
        (
            "Asia/Kolkata",
            "2026-06-01 09:00",
            "FREQ=HOURLY;UNTIL=20260601T043000Z",
            &["2026-06-01 03:30", "2026-06-01 04:30"],
        ),
        // an instant that was taken as wall-clock time also ends rules behind a later change of clocks
        (
            "Europe/Berlin",
            "2026-10-20 09:00",
            "FREQ=WEEKLY;UNTIL=20261103T080000Z",
            &["2026-10-20 07:00", "2026-10-27 08:00", "2026-11-03 08:00"],
        ),
        ("Europe/Berlin", "2026-10-27 09:00", "FREQ=WEEKLY;UNTIL=20261103T075959Z", &["2026-10-27 08:00"]),
    ];
    for (tz, start, rrule, expected) in table {
        let found = occurrences(&schedule(start, tz, rrule), utc("2026-05-01 00:00"), expected.len() + 1);
        assert_eq!(shown(&found), expected, "{rrule} from {start} in {tz}");
    }
}

/// Where clocks change, too: an instant between two equal times on the wall ends between them, and what a gap shifts behind
/// the end does not fire; a wall-clock end in a gap is the gap.
#[test]
fn an_end_where_clocks_change() {
    let table: [Row<'_>; 8] = [
        // 01:30 comes twice, at 05:30 and 06:30 UTC
        (
            "America/New_York",
            "2026-11-01 00:30",
            "FREQ=HOURLY;UNTIL=20261101T053000Z",
            &["2026-11-01 04:30", "2026-11-01 05:30"],
        ),
        (
            "America/New_York",
            "2026-11-01 00:30",
            "FREQ=HOURLY;UNTIL=20261101T063000Z",
            &["2026-11-01 04:30", "2026-11-01 05:30", "2026-11-01 06:30"],
        ),
        // 02:30 is shifted to 07:30 UTC
        ("America/New_York", "2026-03-07 02:30", "FREQ=DAILY;UNTIL=20260308T070000Z", &["2026-03-07 07:30"]),
        (
            "America/New_York",
            "2026-03-07 02:30",
            "FREQ=DAILY;UNTIL=20260308T073000Z",
            &["2026-03-07 07:30", "2026-03-08 07:30"],
        ),
        (
            "America/New_York",
            "2026-03-07 02:30",
            "FREQ=DAILY;UNTIL=20260308T073000",
            &["2026-03-07 07:30", "2026-03-08 07:30"],
        ),
        // 01:30, 03:30: half past two is over at three
        (
            "America/New_York",
            "2026-03-08 00:30",
            "FREQ=HOURLY;UNTIL=20260308T023000",
            &["2026-03-08 05:30", "2026-03-08 06:30"],
        ),
        // Samoa had no 30 December: the last of the 29th is the last
        (
            "Pacific/Apia",
            "2011-12-29 20:00",
            "FREQ=HOURLY;INTERVAL=2;UNTIL=20111230",
            &["2011-12-30 06:00", "2011-12-30 08:00"],
        ),
        // the last half hour of 1981 did not exist
        (
            "Asia/Kuala_Lumpur",
            "1981-12-31 22:15",
            "FREQ=HOURLY;UNTIL=19811231",
            &["1981-12-31 14:45", "1981-12-31 15:45"],
        ),
    ];
    for (tz, start, rrule, expected) in table {
        let found = occurrences(&schedule(start, tz, rrule), utc("1981-01-01 00:00"), expected.len() + 1);
        assert_eq!(shown(&found), expected, "{rrule} from {start} in {tz}");
    }
}

/// An instant is stored as wall-clock time, unless clocks change within a day of it: then it stays as it is, and is read back.
#[test]
fn an_instant_is_kept_where_no_wall_says_the_same() {
    let york = zone("America/New_York");
    for (raw, stored, words) in [
        ("FREQ=DAILY;UNTIL=20270102T045959Z", "FREQ=DAILY;UNTIL=20270101T235959", "Every day until 2027-01-01"),
        (
            "FREQ=DAILY;UNTIL=20261101T053000Z",
            "FREQ=DAILY;UNTIL=20261101T053000Z",
            "Every day until 2026-11-01 05:30 UTC",
        ),
        ("FREQ=DAILY;UNTIL=20261101T053000", "FREQ=DAILY;UNTIL=20261101T053000", "Every day until 2026-11-01 05:30"),
    ] {
        assert_eq!(accept_rrule(raw, york).unwrap(), stored);
        assert_eq!(accept_rrule(stored, york).unwrap(), stored);
        assert_eq!(summary::of_rrule(Some(stored)), words);
        let whole_day = stored.ends_with("T235959");
        assert_eq!(Recurrence::from_rrule(Some(stored)).is_some(), whole_day, "{stored}");
    }
    assert_eq!(accept_rrule("FREQ=DAILY;UNTIL=20261101T053000Z", Tz::UTC).unwrap(), "FREQ=DAILY;UNTIL=20261101T053000");
}

/// As many days as may be left out, in a row, of the densest rules: none takes more than its budget, or fails, on its way to
/// the day behind them.
#[test]
fn long_pauses_are_cheap() {
    let every_hour: Vec<String> = (0..24).map(|hour| hour.to_string()).collect();
    let every = format!("BYHOUR={};BYMINUTE=0,5,10,15,20,25,30,35,40,45,50,55", every_hour.join(","));
    let first = local("2026-06-02 00:00").date();
    let days: Vec<String> = (0..500).map(|day| (first + Days::new(day)).to_string()).collect();
    let days: Vec<&str> = days.iter().map(String::as_str).collect();
    for rrule in [
        "FREQ=MINUTELY;INTERVAL=5".to_owned(),
        "FREQ=HOURLY;BYMINUTE=0,5,10,15,20,25,30,35,40,45,50,55".to_owned(),
        format!("FREQ=DAILY;{every}"),
        format!("FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;{every}"),
    ] {
        let schedule = schedule_with("2026-06-01 00:00", "Asia/Tokyo", &rrule, &days, OnGap::Shift);
        let next = schedule.following(utc("2026-06-01 14:58"), 1).unwrap();
        assert_eq!(next.occurrences[0].nominal, local("2027-10-15 00:00"), "{rrule}");
        assert!(next.steps < 10_000, "{rrule}: {} steps", next.steps);
    }
    // what counts, or is chosen by its place, is what the rule says without exceptions
    let counted = format!("FREQ=DAILY;{every};COUNT=300");
    let counted = schedule_with("2026-06-01 00:00", "Asia/Tokyo", &counted, &["2026-06-01"], OnGap::Shift);
    assert_eq!(occurrences(&counted, utc("2026-05-01 00:00"), 20).len(), 12);
    let placed = "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1";
    let placed = schedule_with("2026-06-01 09:00", "UTC", placed, &["2026-06-01"], OnGap::Shift);
    assert_eq!(shown(&occurrences(&placed, utc("2026-05-01 00:00"), 1)), ["2026-07-01 09:00"]);
}
