//! R41: what is refused and why, the one form of what is accepted, and that all of it is cheap.

use schedule::recurrence::accept_rrule;
use schedule::steps::STEPS_MAX;
use schedule::zone::Tz;
use schedule::{OnGap, Schedule};

use super::{local, utc, zone};

/// What is refused, and that the error names the field and the part.
#[test]
fn raw_rules_have_floors_and_limits() {
    let long = format!("FREQ=YEARLY;BYMONTHDAY={}", "1,".repeat(900));
    let many = format!("FREQ=YEARLY;BYYEARDAY={}", (1..=101).map(|day| day.to_string()).collect::<Vec<_>>().join(","));
    for (raw, part) in [
        ("FREQ=SECONDLY", "FREQ"),
        ("FREQ=MINUTELY", "INTERVAL must be at least 5"),
        ("FREQ=MINUTELY;INTERVAL=4", "INTERVAL must be at least 5"),
        ("FREQ=MINUTELY;BYMINUTE=0,30", "INTERVAL must be at least 5"),
        ("FREQ=HOURLY;BYMINUTE=0,4", "BYMINUTE"),
        ("FREQ=HOURLY;BYMINUTE=0,56", "BYMINUTE"),
        ("FREQ=DAILY;BYHOUR=9;BYMINUTE=1,2", "BYMINUTE"),
        ("FREQ=DAILY;BYSECOND=0,30", "BYSECOND must be one"),
        ("FREQ=DAILY;BYSECOND=60", "BYSECOND"),
        ("FREQ=DAILY;COUNT=10001", "COUNT"),
        ("FREQ=DAILY;COUNT=0", "COUNT"),
        ("FREQ=DAILY;COUNT=-1", "COUNT"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=1000", "INTERVAL"),
        ("FREQ=MINUTELY;INTERVAL=527041", "INTERVAL must be 1 to 527040"),
        ("FREQ=HOURLY;INTERVAL=8785", "INTERVAL must be 1 to 8784"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "COUNT and UNTIL"),
        ("FREQ=DAILY;FREQ=WEEKLY", "FREQ is given twice"),
        ("FREQ=WEEKLY;BYDAY=2MO", "numbered days"),
        ("FREQ=DAILY;BYDAY=-1FR", "numbered days"),
        ("FREQ=MONTHLY;BYDAY=6MO", "BYDAY"),
        ("FREQ=YEARLY;BYDAY=54MO", "BYDAY"),
        ("FREQ=YEARLY;BYMONTH=1;BYDAY=6MO", "BYDAY"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY"),
        ("FREQ=MONTHLY;BYDAY=MONDAY", "BYDAY"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYMONTH=4,6;BYMONTHDAY=31", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYMONTH=13", "BYMONTH"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR"),
        ("FREQ=DAILY;BYMINUTE=60", "BYMINUTE"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS"),
        ("FREQ=HOURLY;BYSETPOS=1", "BYSETPOS"),
        ("FREQ=MONTHLY;BYYEARDAY=100", "BYYEARDAY"),
        ("FREQ=MONTHLY;BYWEEKNO=20;BYDAY=MO", "BYWEEKNO"),
        ("FREQ=DAILY;BYYEARDAY=100", "BYYEARDAY"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "BYWEEKNO goes with days"),
        ("FREQ=YEARLY;BYEASTER=0", "BYEASTER"),
        ("FREQ=DAILY;WKST=XX", "WKST"),
        ("FREQ=DAILY;UNTIL=30000101", "UNTIL"),
        ("FREQ=DAILY;UNTIL=20270230", "UNTIL"),
        ("FREQ=DAILY;DTSTART=20260101T000000", "DTSTART"),
        ("FREQ=DAILY\nRDATE:20260101T000000", "FREQ"),
        ("INTERVAL=2", "FREQ"),
        ("", "FREQ"),
        ("DAILY", "NAME=VALUE"),
        (&long, "1000 characters"),
        (&many, "BYYEARDAY has more than"),
    ] {
        let error = accept_rrule(raw, Tz::UTC).expect_err(raw);
        assert_eq!(error.field, "rrule", "{raw}");
        assert!(error.message.contains(part), "{raw}: {error}");
    }
}

/// A raw rule is stored in one form, its end as wall-clock time.
#[test]
fn raw_rules_are_normalised() {
    let berlin = zone("Europe/Berlin");
    for (raw, stored) in [
        ("rrule:freq=weekly;byday=FR,MO,we;interval=1", "FREQ=WEEKLY;BYDAY=MO,WE,FR"),
        ("FREQ=DAILY;UNTIL=20270101T080000Z", "FREQ=DAILY;UNTIL=20270101T090000"),
        ("FREQ=DAILY;UNTIL=20270101", "FREQ=DAILY;UNTIL=20270101T235959"),
        ("FREQ=MONTHLY;BYDAY=+1MO,-1FR,1MO", "FREQ=MONTHLY;BYDAY=-1FR,1MO"),
        ("FREQ=WEEKLY;WKST=SU;COUNT=5;INTERVAL=2", "FREQ=WEEKLY;INTERVAL=2;WKST=SU;COUNT=5"),
        ("FREQ=WEEKLY;WKST=MO", "FREQ=WEEKLY"),
        ("FREQ=DAILY;BYSECOND=0;BYMINUTE=30", "FREQ=DAILY;BYMINUTE=30;BYSECOND=0"),
        ("FREQ=MINUTELY;INTERVAL=1440", "FREQ=MINUTELY;INTERVAL=1440"),
        ("FREQ=YEARLY;BYWEEKNO=20", "FREQ=YEARLY;BYWEEKNO=20"),
        ("BYMINUTE=30,0;FREQ=HOURLY;BYHOUR=17,9", "FREQ=HOURLY;BYHOUR=9,17;BYMINUTE=0,30"),
        (
            "FREQ=YEARLY;BYYEARDAY=-1,1;BYMONTHDAY=31,1;BYMONTH=12,01",
            "FREQ=YEARLY;BYMONTH=1,12;BYMONTHDAY=1,31;BYYEARDAY=-1,1",
        ),
    ] {
        assert_eq!(accept_rrule(raw, berlin).unwrap(), stored);
        assert_eq!(accept_rrule(stored, berlin).unwrap(), stored);
    }
}

const EVERY_HOUR: &str = "BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23";
const EVERY_FIVE: &str = "BYMINUTE=0,5,10,15,20,25,30,35,40,45,50,55";

/// Old reminders, counted ones and rules that hardly ever fire: none holds a tick up. What they cost is counted in steps, so
/// that this says the same on any machine; the benchmark `recurrence` says what that is in time.
#[test]
fn the_cost_is_bounded() {
    let every = format!("{EVERY_HOUR};{EVERY_FIVE}");
    for (rrule, most) in [
        // without a count nothing is expanded from the start on
        ("FREQ=DAILY".to_owned(), 20),
        ("FREQ=MINUTELY;INTERVAL=5".to_owned(), 20),
        ("FREQ=HOURLY;INTERVAL=7".to_owned(), 20),
        (format!("FREQ=DAILY;{every}"), 1_000),
        ("FREQ=WEEKLY;INTERVAL=999".to_owned(), 30),
        ("FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31".to_owned(), 100),
        (format!("FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;{every}"), 1_500),
        (format!("FREQ=YEARLY;{every};BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=-1,1"), 1_500),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29".to_owned(), 500),
        ("FREQ=MINUTELY;INTERVAL=5;BYMONTH=2;BYMONTHDAY=29;BYHOUR=3;BYMINUTE=0".to_owned(), 500),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU".to_owned(), 2_000),
        // with a count everything is
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;COUNT=10000".to_owned(), 40_000),
        (format!("FREQ=DAILY;{every};COUNT=10000"), 20_000),
        ("FREQ=HOURLY;COUNT=10000".to_owned(), 31_000),
        ("FREQ=HOURLY;BYHOUR=8;COUNT=10000".to_owned(), 70_000),
        ("FREQ=YEARLY;COUNT=10000".to_owned(), STEPS_MAX),
        ("FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO,TU,WE,TH,FR,SA,SU;COUNT=300".to_owned(), STEPS_MAX),
    ] {
        let tz = zone("Europe/Berlin");
        let rrule = accept_rrule(&rrule, tz).unwrap();
        let start = local("2000-01-01 09:00");
        let schedule = Schedule::new(start, tz, Some(&rrule), Default::default(), OnGap::Shift).unwrap();
        let accepted = schedule.first(utc("1999-12-01 00:00"), 1);
        accepted.unwrap_or_else(|error| panic!("{rrule}: {error}"));
        let next = schedule.following(utc("2026-06-01 00:00"), 1).unwrap();
        println!("{:>6} steps: {rrule}: {:?}", next.steps, next.occurrences.first().map(|one| one.at));
        assert!(next.steps <= most, "{rrule}: {} steps", next.steps);
    }
}

/// What costs more than the budget is refused when it is made, and what has no occurrence at all, too.
#[test]
fn what_is_never_or_hardly_ever_is_refused() {
    for (rrule, words) in [
        ("FREQ=MINUTELY;INTERVAL=7;BYHOUR=9;BYMINUTE=0;COUNT=10000", "takes too long"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=TU", "no occurrence"),
        ("FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=20", "no occurrence"),
        ("FREQ=YEARLY;BYMONTH=1,2,3;BYDAY=MO;BYSETPOS=300", "no occurrence"),
        ("FREQ=DAILY;BYDAY=TU;BYSETPOS=2", "no occurrence"),
        ("FREQ=YEARLY;BYMONTH=1;BYYEARDAY=300", "no occurrence"),
        ("FREQ=HOURLY;INTERVAL=24;BYHOUR=3", "takes too long"),
        ("FREQ=MINUTELY;INTERVAL=10;BYMINUTE=7", "takes too long"),
    ] {
        let rrule = accept_rrule(rrule, Tz::UTC).unwrap();
        let start = local("2026-06-01 09:00"); // a Monday
        let schedule = Schedule::new(start, Tz::UTC, Some(&rrule), Default::default(), OnGap::Shift).unwrap();
        let error = schedule.first(utc("2026-05-01 00:00"), 1).expect_err(&rrule);
        assert_eq!(error.field, "rrule", "{rrule}");
        assert!(error.message.contains(words), "{rrule}: {error}");
    }
}
