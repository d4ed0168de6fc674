//! R40, R43: starts, the first fire, and what is wrong with a schedule as a whole.

use chrono::{DateTime, Duration, Utc};
use schedule::occurrence::Clocks;
use schedule::zone::Tz;
use schedule::{Accepted, End, Error, Kind, OnGap, Recurrence, Schedule, Spec, Start, Stored, timezone};

use super::{shown, utc, zone};

fn first_fire(start: Start, rrule: Option<&str>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
    let schedule = Schedule::new(start.local, Tz::UTC, rrule, Default::default(), OnGap::Shift)?;
    Ok(schedule.starting(start).first(now, 1)?.occurrences[0].at)
}

const SPEC: Spec<'_> = Spec {
    start: "2026-06-01T09:00",
    timezone: "America/New_York",
    recurrence: None,
    rrule: None,
    exdates: &[],
    on_gap: OnGap::Shift,
    window_start: None,
    window_end: None,
};

fn check(spec: &Spec<'_>, want: usize) -> Result<Accepted, Error> {
    spec.check(utc("2026-01-01 00:00"), want)
}

/// R43: a first fire up to a minute ago is bumped to the next minute; an older one for once is refused with the field's name.
#[test]
fn a_first_fire_has_a_minute_of_grace() {
    let now = utc("2026-06-01 12:00") + Duration::seconds(30);
    let at = |seconds: i64| Start::stored((now + Duration::seconds(seconds)).naive_utc(), Tz::UTC);
    for rrule in [None, Some("FREQ=DAILY"), Some("FREQ=HOURLY")] {
        assert_eq!(first_fire(at(1), rrule, now).unwrap(), now + Duration::seconds(1));
        for late in [0, -1, -59, -60] {
            assert_eq!(first_fire(at(late), rrule, now).unwrap(), utc("2026-06-01 12:01"), "{late}");
        }
        match (rrule, first_fire(at(-61), rrule, now)) {
            (None, Err(error)) => {
                assert_eq!(error.field, "start");
                assert!(error.message.contains("in the past"), "{error}");
            }
            // R88: what recurs may have begun long ago, and fires from now on
            (Some(rule), Ok(at)) => {
                let step = if rule == "FREQ=DAILY" { Duration::days(1) } else { Duration::hours(1) };
                assert_eq!(at, now - Duration::seconds(61) + step);
            }
            (rule, other) => panic!("{rule:?}: {other:?}"),
        }
    }
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
    for text in ["", "tomorrow", "2026-13-01T00:00", "1969-12-31T23:59", "9999-12-31T23:59:59Z", "2026-12-01"] {
        assert_eq!(Start::parse(text, york).unwrap_err().field, "start", "{text}");
    }
    assert_eq!(timezone("W. Europe Standard Time").unwrap_err().field, "timezone");
    assert!(timezone(&"é".repeat(1_000_000)).unwrap_err().message.len() < 256);
}

/// R40, R43: years that calendars have and clocks don't are refused wherever a date is given, before any clock is read.
#[test]
fn a_year_far_away_is_refused() {
    let daily = Spec { rrule: Some("FREQ=DAILY"), ..SPEC };
    for zone_name in ["America/New_York", "Asia/Tokyo"] {
        for text in [
            "+262142-12-31T23:59",
            "-262143-01-01T00:00",
            "+262142-12-31T23:59:59Z",
            "-262143-01-01T00:00:00Z",
            "2200-01-01T00:00",
            "1969-12-31T23:59",
        ] {
            assert_eq!(Start::parse(text, zone(zone_name)).unwrap_err().field, "start", "{text}");
            for exdate in [text, text.split('T').next().unwrap()] {
                let exdates = [exdate.to_owned()];
                let spec = Spec { timezone: zone_name, exdates: &exdates, ..daily };
                assert_eq!(check(&spec, 1).unwrap_err().field, "exdates", "{exdate}");
            }
        }
    }
    let tokyo = Start::parse("1970-01-01T00:00:00+09:00", zone("Asia/Tokyo")).unwrap();
    assert_eq!(tokyo.at, utc("1969-12-31 15:00"));
}

/// R86: a start with an offset may name the later of two equal times: the rule begins there, HOURLY and MINUTELY rules count from
/// there, and what is stored says so.
#[test]
fn the_later_of_two_equal_times_can_be_meant() {
    for (start, rrule, expected) in [
        ("2026-11-01T01:30", "FREQ=DAILY", ["2026-11-01 05:30", "2026-11-02 06:30"]),
        ("2026-11-01T01:30:00-04:00", "FREQ=DAILY", ["2026-11-01 05:30", "2026-11-02 06:30"]),
        ("2026-11-01T01:30:00-05:00", "FREQ=DAILY", ["2026-11-01 06:30", "2026-11-02 06:30"]),
        ("2026-11-01T01:30:00-05:00", "FREQ=WEEKLY", ["2026-11-01 06:30", "2026-11-08 06:30"]),
        // 01:45 comes first at 05:45 UTC, before the start
        ("2026-11-01T01:30:00-05:00", "FREQ=DAILY;BYMINUTE=30,45", ["2026-11-01 06:30", "2026-11-02 06:30"]),
        ("2026-11-01T01:30:00-05:00", "FREQ=HOURLY", ["2026-11-01 06:30", "2026-11-01 07:30"]),
        ("2026-11-01T01:30:00-05:00", "FREQ=HOURLY;INTERVAL=2", ["2026-11-01 06:30", "2026-11-01 08:30"]),
        ("2026-11-01T01:30:00-04:00", "FREQ=HOURLY;INTERVAL=2", ["2026-11-01 05:30", "2026-11-01 07:30"]),
        ("2026-11-01T01:30:00-05:00", "FREQ=HOURLY;INTERVAL=3;BYMINUTE=0,30", ["2026-11-01 06:30", "2026-11-01 09:00"]),
        ("2026-11-01T01:30:00-05:00", "FREQ=MINUTELY;INTERVAL=90", ["2026-11-01 06:30", "2026-11-01 08:00"]),
        ("2026-11-01T01:30:00-05:00", "FREQ=MINUTELY;INTERVAL=45", ["2026-11-01 06:30", "2026-11-01 07:15"]),
        ("2026-11-01T01:30:00-05:00", "FREQ=HOURLY;COUNT=2", ["2026-11-01 06:30", "2026-11-01 07:30"]),
    ] {
        let accepted = check(&Spec { start, rrule: Some(rrule), ..SPEC }, 2).unwrap();
        let found: Vec<_> = accepted.following.occurrences.iter().map(|one| one.at).collect();
        assert_eq!(shown(&found), expected, "{start} {rrule}");
        assert_eq!(accepted.first_fire, found[0]);
        let later = start.ends_with("-05:00");
        let clocks = if later { Clocks::SecondOfTwo } else { Clocks::FirstOfTwo };
        assert_eq!(accepted.following.occurrences[0].clocks, Some(clocks));
        // as it is read back from its row, and from its answer
        assert_eq!(accepted.start.is_later(accepted.tz), later);
        let stored = Stored {
            start_local: accepted.start.local,
            start_later: later,
            timezone: SPEC.timezone,
            rrule: accepted.rrule.as_deref(),
            times: &[],
            exdates: &[],
            on_gap: OnGap::Shift,
            window: None,
        };
        let schedule = Schedule::read(&stored).unwrap();
        assert_eq!(schedule.next_after(found[0] - Duration::seconds(1)).unwrap(), Some(found[0]), "{rrule}");
        assert_eq!(schedule.next_after(found[0]).unwrap(), Some(found[1]), "{rrule}");
        assert_eq!(Start::parse(&accepted.start.text(accepted.tz), accepted.tz).unwrap(), accepted.start);
    }
    let once = check(&Spec { start: "2026-11-01T01:30:00-05:00", ..SPEC }, 5).unwrap();
    assert_eq!((once.following.occurrences.len(), once.first_fire), (1, utc("2026-11-01 06:30")));
}

/// R88: what recurs may have begun in the past: that is its anchor, what passed is counted, and it fires from now on.
#[test]
fn a_start_in_the_past_is_an_anchor() {
    let now = utc("2026-06-10 12:00"); // 08:00 in New York
    for (start, rrule, expected) in [
        ("2020-01-06T09:00", "FREQ=WEEKLY;INTERVAL=2", Ok("2026-06-15 13:00")),
        ("2020-01-13T09:00", "FREQ=WEEKLY;INTERVAL=2", Ok("2026-06-22 13:00")),
        ("2026-06-09T09:00", "FREQ=DAILY;COUNT=2", Ok("2026-06-10 13:00")),
        ("2026-06-08T09:00", "FREQ=DAILY;COUNT=2", Err("rrule")),
        ("2026-06-01T09:00", "FREQ=DAILY;UNTIL=20260605", Err("rrule")),
        ("2026-06-10T07:59:30", "FREQ=DAILY", Ok("2026-06-10 12:01")),
        ("2026-06-09T07:59:30", "FREQ=DAILY", Ok("2026-06-11 11:59")),
    ] {
        let checked = Spec { start, rrule: Some(rrule), ..SPEC }.check(now, 3);
        let found = checked.as_ref().map(|accepted| shown(&[accepted.first_fire])[0].clone());
        assert_eq!(found.as_deref().map_err(|error| error.field), expected, "{rrule} from {start}");
    }
    assert_eq!(Spec { start: "2020-01-06T09:00", ..SPEC }.check(now, 1).unwrap_err().field, "start", "for once");
}

/// R41, R43: a schedule that never fires is refused, and the error names the field that is to blame.
#[test]
fn a_schedule_that_never_fires_is_refused() {
    let until = |year, month, day| End::Until(chrono::NaiveDate::from_ymd_opt(year, month, day).unwrap());
    let daily = |end| Recurrence { kind: Kind::Daily, end, ..Recurrence::default() };
    let (before, after) = (daily(until(2026, 5, 31)), daily(End::After(2)));
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let (both, one, bad) = (texts(&["2026-06-01", "2026-06-02"]), texts(&["2026-06-01"]), texts(&["1.6.2026"]));
    let many: Vec<_> = (0..501).map(|_| "2026-06-01".to_owned()).collect();
    for (spec, field, words) in [
        (Spec { timezone: "Berlin", ..SPEC }, "timezone", "IANA"),
        (Spec { start: "soon", ..SPEC }, "start", "like"),
        (Spec { start: "2025-12-01T09:00", ..SPEC }, "start", "in the past"),
        (Spec { start: "2025-12-01T09:00", rrule: Some("FREQ=DAILY;COUNT=3"), ..SPEC }, "rrule", "no occurrence left"),
        (Spec { rrule: Some("FREQ=DAILY;COUNT=0"), ..SPEC }, "rrule", "COUNT"),
        (Spec { rrule: Some("FREQ=DAILY;UNTIL=20260531"), ..SPEC }, "rrule", "before the start"),
        (Spec { recurrence: Some(&before), ..SPEC }, "recurrence.end", "before the start"),
        (Spec { recurrence: Some(&after), rrule: Some("FREQ=DAILY"), ..SPEC }, "rrule", "one of the two"),
        (Spec { rrule: Some("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), ..SPEC }, "rrule", "never have"),
        (Spec { start: "2026-06-30T09:00", rrule: Some("FREQ=YEARLY;BYMONTH=2"), ..SPEC }, "rrule", "no occurrence"),
        (Spec { recurrence: Some(&after), exdates: &both, ..SPEC }, "exdates", "no occurrence"),
        (Spec { recurrence: Some(&after), exdates: &bad, ..SPEC }, "exdates", "number 1"),
        (Spec { recurrence: Some(&after), exdates: &many, ..SPEC }, "exdates", "at most 500"),
        (Spec { exdates: &one, ..SPEC }, "exdates", "only go with"),
        (
            Spec {
                start: "2026-03-08T02:30",
                rrule: Some("FREQ=YEARLY;BYMONTH=3;BYDAY=2SU"),
                on_gap: OnGap::Skip,
                ..SPEC
            },
            "on_gap",
            "clocks skip",
        ),
        (Spec { start: "2026-03-08T02:30", on_gap: OnGap::Skip, ..SPEC }, "on_gap", "clocks skip"),
    ] {
        let error = check(&spec, 1).expect_err(words);
        assert_eq!(error.field, field, "{error}");
        assert!(error.message.contains(words), "{error}");
    }
    let rest = check(&Spec { recurrence: Some(&after), exdates: &one, ..SPEC }, 9).unwrap();
    assert_eq!((rest.following.occurrences.len(), rest.exdates), (1, texts(&["2026-06-01"])));
}

/// Exceptions are stored in one form.
#[test]
fn exceptions_are_normalised() {
    let given = ["2026-12-24T17:00", " 2026-12-25 ", "2026-12-24T22:00:00Z", "2026-12-25"].map(str::to_owned);
    let accepted = check(&Spec { rrule: Some("FREQ=DAILY"), exdates: &given, ..SPEC }, 1).unwrap();
    assert_eq!(accepted.exdates, ["2026-12-25", "2026-12-24T17:00:00"]);
}
