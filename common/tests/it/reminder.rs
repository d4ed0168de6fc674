//! Recurrence, schedule, window and words.

use std::time::Instant;

use chrono::{DateTime, Datelike as _, Days, Duration, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use common::reminder::recurrence::accept_rrule;
use common::reminder::schedule::{Start, first_fire, instant_of, next_after};
use common::reminder::{End, Kind, Recurrence, Weekday, summary, timezone, window};
use proptest::prelude::*;

fn local(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
}

fn utc(text: &str) -> DateTime<Utc> {
    local(text).and_utc()
}

fn zone(name: &str) -> Tz {
    timezone(name).unwrap()
}

/// The next occurrences, each asked for with the one before.
fn occurrences(start: &str, tz: &str, rrule: &str, after: &str, count: usize) -> Vec<String> {
    let mut after = utc(after);
    let mut found = Vec::new();
    while found.len() < count {
        let Some(next) = next_after(local(start), zone(tz), Some(rrule), after).unwrap() else { break };
        assert!(next > after);
        found.push(next.format("%Y-%m-%d %H:%M").to_string());
        after = next;
    }
    found
}

/// R40: where clocks go forward an occurrence is shifted by the gap, where they go back it fires the first time, once.
#[test]
fn clocks_that_change() {
    let table = [
        // start, zone, rule, after (UTC), the next two (UTC)
        // New York's clocks skip 02:00 to 03:00 on 2026-03-08, and repeat 01:00 to 02:00 on 2026-11-01
        (
            "2026-03-07 02:30",
            "America/New_York",
            "FREQ=DAILY",
            "2026-03-07 12:00",
            ["2026-03-08 07:30", "2026-03-09 06:30"],
        ),
        (
            "2026-10-30 01:30",
            "America/New_York",
            "FREQ=DAILY",
            "2026-10-31 12:00",
            ["2026-11-01 05:30", "2026-11-02 06:30"],
        ),
        // midnight does not exist in Santiago on 2026-09-06: the day is not lost
        (
            "2026-09-01 00:00",
            "America/Santiago",
            "FREQ=DAILY",
            "2026-09-05 12:00",
            ["2026-09-06 04:00", "2026-09-07 03:00"],
        ),
        (
            "2018-11-01 00:00",
            "America/Sao_Paulo",
            "FREQ=DAILY",
            "2018-11-03 12:00",
            ["2018-11-04 03:00", "2018-11-05 02:00"],
        ),
        // half an hour only
        (
            "2026-10-01 02:15",
            "Australia/Lord_Howe",
            "FREQ=DAILY",
            "2026-10-03 00:00",
            ["2026-10-03 15:45", "2026-10-04 15:15"],
        ),
        // Samoa skipped all of 2011-12-30: that day's occurrence and the next day's are the same instant, fired once
        (
            "2011-12-28 09:00",
            "Pacific/Apia",
            "FREQ=DAILY",
            "2011-12-29 20:00",
            ["2011-12-30 19:00", "2011-12-31 19:00"],
        ),
        // two rules' hours that meet after the gap fire once
        (
            "2026-03-07 02:30",
            "America/New_York",
            "FREQ=DAILY;BYHOUR=2,3",
            "2026-03-08 05:00",
            ["2026-03-08 07:30", "2026-03-09 06:30"],
        ),
        // a start in the gap, and one that exists twice, are no errors
        (
            "2026-03-08 02:30",
            "America/New_York",
            "FREQ=WEEKLY",
            "2026-03-01 00:00",
            ["2026-03-08 07:30", "2026-03-15 06:30"],
        ),
        (
            "2026-11-01 01:30",
            "America/New_York",
            "FREQ=WEEKLY",
            "2026-10-20 00:00",
            ["2026-11-01 05:30", "2026-11-08 06:30"],
        ),
        // no change of clocks: the hour stays through the year
        (
            "2026-01-01 09:00",
            "Europe/Berlin",
            "FREQ=MONTHLY",
            "2026-02-15 00:00",
            ["2026-03-01 08:00", "2026-04-01 07:00"],
        ),
    ];
    for (start, tz, rrule, after, expected) in table {
        assert_eq!(occurrences(start, tz, rrule, after, 2), expected, "{rrule} from {start} in {tz}");
    }
}

/// R41: what the rules mean.
#[test]
fn rules_mean_what_they_say() {
    let table: [(&str, &str, &str, &[&str]); 9] = [
        ("2026-01-01 08:00", "FREQ=DAILY;INTERVAL=3", "2026-01-01 08:00", &["2026-01-04 08:00", "2026-01-07 08:00"]),
        ("2026-01-01 08:00", "FREQ=DAILY;COUNT=2", "2025-12-31 00:00", &["2026-01-01 08:00", "2026-01-02 08:00"]),
        // Thursday start, fortnightly on Monday and Thursday: weeks are counted from the start's
        (
            "2026-01-01 08:00",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH",
            "2026-01-01 08:00",
            &["2026-01-12 08:00", "2026-01-15 08:00", "2026-01-26 08:00"],
        ),
        ("2026-01-31 08:00", "FREQ=MONTHLY", "2026-01-31 08:00", &["2026-03-31 08:00", "2026-05-31 08:00"]),
        (
            "2026-01-31 08:00",
            "FREQ=MONTHLY;BYMONTHDAY=-1",
            "2026-01-31 08:00",
            &["2026-02-28 08:00", "2026-03-31 08:00"],
        ),
        ("2024-02-29 08:00", "FREQ=YEARLY", "2024-03-01 00:00", &["2028-02-29 08:00"]),
        ("2026-01-01 08:00", "FREQ=MONTHLY;BYDAY=-1FR", "2026-01-02 00:00", &["2026-01-30 08:00", "2026-02-27 08:00"]),
        ("2026-01-01 08:00", "FREQ=DAILY;UNTIL=20260102T235959", "2026-01-01 08:00", &["2026-01-02 08:00"]),
        ("2026-01-05 08:00", "FREQ=DAILY;UNTIL=20260102T235959", "2026-01-01 08:00", &[]),
    ];
    for (start, rrule, after, expected) in table {
        let count = if rrule.contains("COUNT") || rrule.contains("UNTIL") { 9 } else { expected.len() };
        assert_eq!(occurrences(start, "UTC", rrule, after, count), expected, "{rrule} from {start}");
    }
}

/// R41: what is refused, and that the error names the field.
#[test]
fn raw_rules_have_floors_and_limits() {
    for raw in [
        "FREQ=HOURLY",
        "FREQ=MINUTELY",
        "FREQ=SECONDLY",
        "FREQ=DAILY;BYMINUTE=1,2",
        "FREQ=DAILY;BYSECOND=1",
        "FREQ=DAILY;COUNT=10001",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=1000",
        "FREQ=DAILY;COUNT=3;UNTIL=20270101",
        "FREQ=DAILY;FREQ=WEEKLY",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
        "FREQ=DAILY;BYMONTHDAY=31",
        "FREQ=WEEKLY;BYDAY=2MO",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYSETPOS=1",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=DAILY;UNTIL=30000101",
        "FREQ=DAILY;DTSTART=20260101T000000",
        "FREQ=DAILY\nRDATE:20260101T000000",
        "INTERVAL=2",
        "",
        "DAILY",
        &format!("FREQ=YEARLY;BYMONTHDAY={}", "1,".repeat(900)),
    ] {
        let error = accept_rrule(raw, Tz::UTC).expect_err(raw);
        assert_eq!(error.field, "rrule", "{raw}");
    }
}

/// R41: a raw rule is stored in one form, its end as wall-clock time.
#[test]
fn raw_rules_are_normalised() {
    let berlin = zone("Europe/Berlin");
    for (raw, stored) in [
        ("rrule:freq=weekly;byday=FR,MO,we;interval=1", "FREQ=WEEKLY;BYDAY=MO,WE,FR"),
        ("FREQ=DAILY;UNTIL=20270101T080000Z", "FREQ=DAILY;UNTIL=20270101T090000"),
        ("FREQ=DAILY;UNTIL=20270101", "FREQ=DAILY;UNTIL=20270101T235959"),
        ("FREQ=MONTHLY;BYDAY=+1MO,-1FR,1MO", "FREQ=MONTHLY;BYDAY=-1FR,1MO"),
        ("FREQ=WEEKLY;WKST=SU;COUNT=5;INTERVAL=2", "FREQ=WEEKLY;INTERVAL=2;WKST=SU;COUNT=5"),
    ] {
        assert_eq!(accept_rrule(raw, berlin).unwrap(), stored);
        assert_eq!(accept_rrule(stored, berlin).unwrap(), stored);
    }
}

/// R43: a first fire up to a minute ago is bumped to the next minute; older is refused with the field's name.
#[test]
fn a_first_fire_has_a_minute_of_grace() {
    let now = utc("2026-06-01 12:00") + Duration::seconds(30);
    let at = |seconds: i64| Start::stored((now + Duration::seconds(seconds)).naive_utc(), Tz::UTC);
    for rrule in [None, Some("FREQ=DAILY")] {
        assert_eq!(first_fire(at(1), Tz::UTC, rrule, now).unwrap(), now + Duration::seconds(1));
        for late in [0, -1, -59, -60] {
            assert_eq!(first_fire(at(late), Tz::UTC, rrule, now).unwrap(), utc("2026-06-01 12:01"), "{late}");
        }
        let error = first_fire(at(-61), Tz::UTC, rrule, now).unwrap_err();
        assert_eq!(error.field, "start");
        assert!(error.message.contains("in the past"), "{error}");
    }
    let over = first_fire(at(3_600), Tz::UTC, Some("FREQ=DAILY;UNTIL=20200101T000000"), now).unwrap_err();
    assert_eq!(over.field, "recurrence");
}

/// R40: a start is an instant or wall-clock time; the later of two equal wall-clock times can be meant.
#[test]
fn a_start_is_read_with_and_without_offset() {
    let york = zone("America/New_York");
    for (text, expected_local, expected_at) in [
        ("2026-12-01T09:00", "2026-12-01 09:00", "2026-12-01 14:00"),
        ("2026-12-01T09:00:59.9", "2026-12-01 09:00", "2026-12-01 14:00"),
        ("2026-12-01T09:00:00+01:00", "2026-12-01 03:00", "2026-12-01 08:00"),
        ("2026-12-01T09:00:00Z", "2026-12-01 04:00", "2026-12-01 09:00"),
        ("2026-03-08T02:30", "2026-03-08 02:30", "2026-03-08 07:30"),
        ("2026-11-01T01:30", "2026-11-01 01:30", "2026-11-01 05:30"),
        ("2026-11-01T01:30:00-05:00", "2026-11-01 01:30", "2026-11-01 06:30"),
    ] {
        let start = Start::parse(text, york).unwrap();
        assert_eq!(start.local.format("%Y-%m-%d %H:%M").to_string(), expected_local, "{text}");
        assert_eq!(start.at.format("%Y-%m-%d %H:%M").to_string(), expected_at, "{text}");
    }
    for text in ["", "tomorrow", "2026-13-01T00:00", "1999-01-01T00:00", "9999-12-31T23:59:59Z", "2026-12-01"] {
        assert_eq!(Start::parse(text, york).unwrap_err().field, "start", "{text}");
    }
    assert_eq!(timezone("W. Europe Standard Time").unwrap_err().field, "timezone");
}

/// R41: the errors of a structured spec name its field.
#[test]
fn structured_errors_name_the_field() {
    let base = Recurrence { kind: Kind::Weekly, ..Recurrence::default() };
    let table = [
        (Recurrence { interval: 0, ..base.clone() }, "recurrence.interval"),
        (Recurrence { kind: Kind::Daily, weekdays: [Weekday::Mon].into(), ..base.clone() }, "recurrence.weekdays"),
        (Recurrence { month_day: Some(1), ..base.clone() }, "recurrence.month_day"),
        (Recurrence { kind: Kind::Monthly, month_day: Some(0), ..base.clone() }, "recurrence.month_day"),
        (Recurrence { kind: Kind::Monthly, month_day: Some(-2), ..base.clone() }, "recurrence.month_day"),
        (Recurrence { end: End::After(0), ..base.clone() }, "recurrence.end"),
        (Recurrence { end: End::Until(NaiveDate::MAX), ..base.clone() }, "recurrence.end"),
        (Recurrence { kind: Kind::None, interval: 2, ..base }, "recurrence.kind"),
    ];
    for (spec, field) in table {
        assert_eq!(spec.to_rrule().unwrap_err().field, field, "{spec:?}");
    }
}

/// R42: in words.
#[test]
fn words() {
    for (rrule, expected) in [
        (None, "Once"),
        (Some("FREQ=WEEKLY;BYDAY=MO,WE,FR"), "Every Mon, Wed, Fri"),
        (Some("FREQ=WEEKLY;INTERVAL=2;UNTIL=20270101T235959"), "Every 2 weeks until 2027-01-01"),
        (Some("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO"), "Every 2 weeks on Mon"),
        (Some("FREQ=DAILY;COUNT=5"), "Every day, 5 times"),
        (Some("FREQ=MONTHLY;BYMONTHDAY=-1"), "Every month on the last day"),
        (Some("FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=15"), "Every 3 months on day 15"),
        (Some("FREQ=YEARLY"), "Every year"),
        (Some("FREQ=MONTHLY;BYDAY=1MO"), "Custom: FREQ=MONTHLY;BYDAY=1MO"),
    ] {
        assert_eq!(summary::of_rrule(rrule), expected);
    }
}

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
    assert!(window::check(21, local("2026-06-01 20:59")).is_ok());
    for (end, start) in [(0, "2026-06-01 08:00"), (25, "2026-06-01 08:00"), (20, "2026-06-01 20:00")] {
        assert_eq!(window::check(end, local(start)).unwrap_err().field, "window_end");
    }
}

/// An old reminder, a counted one and a rule that never fires: none holds a tick up.
#[test]
fn the_cost_is_bounded() {
    let mut slowest = std::time::Duration::ZERO;
    for (rrule, fires) in [
        ("FREQ=DAILY", true),
        ("FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23", true),
        ("FREQ=DAILY;BYMONTH=2;BYDAY=SU", true),
        ("FREQ=WEEKLY;INTERVAL=999", true),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;COUNT=10000", true),
        ("FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31", true),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", true),
        ("FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=20", false),
        ("FREQ=YEARLY;BYMONTH=1,2,3;BYDAY=MO;BYSETPOS=300", false),
    ] {
        let rrule = accept_rrule(rrule, Tz::UTC).unwrap();
        let began = Instant::now();
        let next = next_after(local("2000-01-01 09:00"), zone("Europe/Berlin"), Some(&rrule), utc("2026-06-01 00:00"))
            .unwrap();
        let took = began.elapsed();
        println!("{rrule}: {next:?} in {took:?}");
        assert_eq!(next.is_some(), fires, "{rrule}");
        slowest = slowest.max(took);
    }
    assert!(slowest < std::time::Duration::from_secs(2), "{slowest:?}");
}

fn specs() -> impl Strategy<Value = Recurrence> {
    let end = prop_oneof![
        Just(End::Never),
        (1..=10_000u32).prop_map(End::After),
        (0..60_000u64).prop_map(|days| End::Until(NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() + Days::new(days))),
    ];
    let kind = prop_oneof![Just(Kind::Daily), Just(Kind::Weekly), Just(Kind::Monthly), Just(Kind::Yearly)];
    let weekdays = proptest::sample::subsequence(Weekday::ALL.to_vec(), 0..=7);
    let month_day = proptest::option::of(prop_oneof![Just(-1i8), 1..=31i8]);
    (kind, 1..=999u32, weekdays, month_day, end).prop_map(|(kind, interval, weekdays, month_day, end)| Recurrence {
        kind,
        interval,
        weekdays: if kind == Kind::Weekly { weekdays.into_iter().collect() } else { [].into() },
        month_day: if kind == Kind::Monthly { month_day } else { None },
        end,
    })
}

fn zones() -> impl Strategy<Value = Tz> {
    proptest::sample::select(
        [
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "America/Santiago",
            "Australia/Lord_Howe",
            "Asia/Tokyo",
            "Africa/Casablanca",
        ]
        .map(zone)
        .to_vec(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// R41: a spec builds a rule that reads back as the same spec, and that is accepted raw as it is.
    #[test]
    fn a_spec_survives_the_round_trip(spec in specs()) {
        let rrule = spec.to_rrule().unwrap().unwrap();
        prop_assert_eq!(Recurrence::from_rrule(Some(&rrule)), Some(spec));
        prop_assert_eq!(accept_rrule(&rrule, Tz::UTC).unwrap(), rrule);
    }

    /// What is re-armed lies strictly ahead, on the wall clock's own time of day unless clocks skip it, and starting the
    /// expansion nearer to now changes nothing.
    #[test]
    fn the_next_occurrence_is_ahead_and_on_time(
        spec in specs(), tz in zones(), minute in 0..1_440i64, day in 0..800u64, after in 0..900i64,
    ) {
        let start = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap() + Days::new(day) + Duration::minutes(minute);
        let rrule = spec.to_rrule().unwrap();
        let after = instant_of(start, tz) + Duration::hours(after * 17);
        let next = next_after(start, tz, rrule.as_deref(), after).unwrap();
        if let Some(next) = next {
            prop_assert!(next > after);
            let local = next.with_timezone(&tz).naive_local();
            let shift = (local - local.date().and_time(start.time())).num_minutes().rem_euclid(1_440);
            prop_assert!(shift == 0 || shift == 60 || shift == 30, "{} {:?}", shift, next);
            // no occurrence between: asking from just before answers the same
            prop_assert_eq!(next_after(start, tz, rrule.as_deref(), next - Duration::seconds(1)).unwrap(), Some(next));
            if spec.kind == Kind::Daily && spec.end == End::Never && shift == 0 {
                prop_assert_eq!((local.date() - start.date()).num_days() % i64::from(spec.interval), 0);
            }
            if spec.kind == Kind::Yearly && shift == 0 {
                prop_assert_eq!((local.month(), local.day()), (start.month(), start.day()));
            }
        }
    }
}
