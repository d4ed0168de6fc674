//! R41: every example of RFC 5545, section 3.8.5.3, and the one of WKST. None of them is refused: the finest fires every 15
//! minutes.

use chrono::{DateTime, Duration, NaiveDateTime, Utc};

use super::{local, occurrences, schedule, schedule_with, zone};
use schedule::{OnGap, Schedule, Spec};

const ZONE: &str = "America/New_York";

/// What the wall shows when it fires, from the start on.
fn expand(schedule: &Schedule, start: &str, count: usize) -> Vec<NaiveDateTime> {
    let before = DateTime::<Utc>::from_naive_utc_and_offset(local(start) - Duration::days(2), Utc);
    let found = occurrences(schedule, before, count);
    found.into_iter().map(|at| at.with_timezone(&zone(ZONE)).naive_local()).collect()
}

/// `1997-09: 2 3 | 1997-10: 1` as dates at nine o'clock.
fn days(text: &str) -> Vec<NaiveDateTime> {
    let months = text.split('|').map(|month| month.trim().split_once(": ").unwrap());
    months.flat_map(|(month, days)| days.split(' ').map(move |day| local(&format!("{month}-{day} 09:00")))).collect()
}

#[test]
fn the_examples_of_days() {
    // (start, rule, all occurrences or the first ones, whether these are all)
    let table = [
        ("1997-09-02", "FREQ=DAILY;COUNT=10", "1997-09: 2 3 4 5 6 7 8 9 10 11", true),
        (
            "1997-09-02",
            "FREQ=DAILY;INTERVAL=2",
            "1997-09: 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 | 1997-10: 2 4",
            false,
        ),
        ("1997-09-02", "FREQ=DAILY;INTERVAL=10;COUNT=5", "1997-09: 2 12 22 | 1997-10: 2 12", true),
        ("1997-09-02", "FREQ=WEEKLY;COUNT=10", "1997-09: 2 9 16 23 30 | 1997-10: 7 14 21 28 | 1997-11: 4", true),
        (
            "1997-09-02",
            "FREQ=WEEKLY;UNTIL=19971224T000000Z",
            "1997-09: 2 9 16 23 30 | 1997-10: 7 14 21 28 | 1997-11: 4 11 18 25 | 1997-12: 2 9 16 23",
            true,
        ),
        (
            "1997-09-02",
            "FREQ=WEEKLY;INTERVAL=2;WKST=SU",
            "1997-09: 2 16 30 | 1997-10: 14 28 | 1997-11: 11 25 | 1997-12: 9 23 | 1998-01: 6 20 | 1998-02: 3 17",
            false,
        ),
        (
            "1997-09-02",
            "FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH",
            "1997-09: 2 4 9 11 16 18 23 25 30 | 1997-10: 2",
            true,
        ),
        (
            "1997-09-02",
            "FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH",
            "1997-09: 2 4 9 11 16 18 23 25 30 | 1997-10: 2",
            true,
        ),
        (
            "1997-09-01",
            "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
            "1997-09: 1 3 5 15 17 19 29 | 1997-10: 1 3 13 15 17 27 29 31 | 1997-11: 10 12 14 24 26 28 | 1997-12: 8 10 12 22",
            true,
        ),
        (
            "1997-09-02",
            "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
            "1997-09: 2 4 16 18 30 | 1997-10: 2 14 16",
            true,
        ),
        (
            "1997-09-05",
            "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
            "1997-09: 5 | 1997-10: 3 | 1997-11: 7 | 1997-12: 5 | 1998-01: 2 | 1998-02: 6 | 1998-03: 6 | 1998-04: 3 | 1998-05: 1 | 1998-06: 5",
            true,
        ),
        (
            "1997-09-05",
            "FREQ=MONTHLY;UNTIL=19971224T000000Z;BYDAY=1FR",
            "1997-09: 5 | 1997-10: 3 | 1997-11: 7 | 1997-12: 5",
            true,
        ),
        (
            "1997-09-07",
            "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
            "1997-09: 7 28 | 1997-11: 2 30 | 1998-01: 4 25 | 1998-03: 1 29 | 1998-05: 3 31",
            true,
        ),
        (
            "1997-09-22",
            "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
            "1997-09: 22 | 1997-10: 20 | 1997-11: 17 | 1997-12: 22 | 1998-01: 19 | 1998-02: 16",
            true,
        ),
        (
            "1997-09-28",
            "FREQ=MONTHLY;BYMONTHDAY=-3",
            "1997-09: 28 | 1997-10: 29 | 1997-11: 28 | 1997-12: 29 | 1998-01: 29 | 1998-02: 26",
            false,
        ),
        (
            "1997-09-02",
            "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15",
            "1997-09: 2 15 | 1997-10: 2 15 | 1997-11: 2 15 | 1997-12: 2 15 | 1998-01: 2 15",
            true,
        ),
        (
            "1997-09-30",
            "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
            "1997-09: 30 | 1997-10: 1 31 | 1997-11: 1 30 | 1997-12: 1 31 | 1998-01: 1 31 | 1998-02: 1",
            true,
        ),
        (
            "1997-09-10",
            "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
            "1997-09: 10 11 12 13 14 15 | 1999-03: 10 11 12 13",
            true,
        ),
        (
            "1997-09-02",
            "FREQ=MONTHLY;INTERVAL=2;BYDAY=TU",
            "1997-09: 2 9 16 23 30 | 1997-11: 4 11 18 25 | 1998-01: 6 13 20 27 | 1998-03: 3 10 17 24 31",
            false,
        ),
        (
            "1997-06-10",
            "FREQ=YEARLY;COUNT=10;BYMONTH=6,7",
            "1997-06: 10 | 1997-07: 10 | 1998-06: 10 | 1998-07: 10 | 1999-06: 10 | 1999-07: 10 | 2000-06: 10 | 2000-07: 10 | 2001-06: 10 | 2001-07: 10",
            true,
        ),
        (
            "1997-03-10",
            "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",
            "1997-03: 10 | 1999-01: 10 | 1999-02: 10 | 1999-03: 10 | 2001-01: 10 | 2001-02: 10 | 2001-03: 10 | 2003-01: 10 | 2003-02: 10 | 2003-03: 10",
            true,
        ),
        (
            "1997-01-01",
            "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
            "1997-01: 1 | 1997-04: 10 | 1997-07: 19 | 2000-01: 1 | 2000-04: 9 | 2000-07: 18 | 2003-01: 1 | 2003-04: 10 | 2003-07: 19 | 2006-01: 1",
            true,
        ),
        ("1997-05-19", "FREQ=YEARLY;BYDAY=20MO", "1997-05: 19 | 1998-05: 18 | 1999-05: 17", false),
        ("1997-05-12", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997-05: 12 | 1998-05: 11 | 1999-05: 17", false),
        (
            "1997-03-13",
            "FREQ=YEARLY;BYMONTH=3;BYDAY=TH",
            "1997-03: 13 20 27 | 1998-03: 5 12 19 26 | 1999-03: 4 11 18 25",
            false,
        ),
        (
            "1997-06-05",
            "FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8",
            "1997-06: 5 12 19 26 | 1997-07: 3 10 17 24 31 | 1997-08: 7 14 21 28 | 1998-06: 4 11 18 25 | 1998-07: 2 9 16 23 30 | 1998-08: 6 13 20 27 | 1999-06: 3",
            false,
        ),
        (
            "1997-09-13",
            "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
            "1997-09: 13 | 1997-10: 11 | 1997-11: 8 | 1997-12: 13 | 1998-01: 10 | 1998-02: 7 | 1998-03: 7 | 1998-04: 11 | 1998-05: 9 | 1998-06: 13",
            false,
        ),
        (
            "1996-11-05",
            "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
            "1996-11: 5 | 2000-11: 7 | 2004-11: 2",
            false,
        ),
        ("1997-09-04", "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09: 4 | 1997-10: 7 | 1997-11: 6", true),
        (
            "1997-09-29",
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
            "1997-09: 29 | 1997-10: 30 | 1997-11: 27 | 1997-12: 30 | 1998-01: 29 | 1998-02: 26 | 1998-03: 30",
            false,
        ),
        ("1997-08-05", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997-08: 5 10 19 24", true),
        ("1997-08-05", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08: 5 17 19 31", true),
        ("2007-01-15", "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", "2007-01: 15 30 | 2007-02: 15 | 2007-03: 15 30", true),
    ];
    for (start, rrule, expected, all) in table {
        let start = format!("{start} 09:00");
        let expected = days(expected);
        let count = expected.len() + usize::from(all);
        assert_eq!(expand(&schedule(&start, ZONE, rrule), &start, count), expected, "{rrule}");
    }
}

/// The long ones: their first, their last and how many.
#[test]
fn the_examples_of_many_days() {
    let every_day = "FREQ=YEARLY;UNTIL=20000131T140000Z;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA";
    for (start, rrule, last, count) in [
        ("1997-09-02", "FREQ=DAILY;UNTIL=19971224T000000Z", "1997-12-23", 113),
        ("1998-01-01", every_day, "2000-01-31", 93),
        ("1998-01-01", "FREQ=DAILY;UNTIL=20000131T140000Z;BYMONTH=1", "2000-01-31", 93),
    ] {
        let (start, last) = (format!("{start} 09:00"), format!("{last} 09:00"));
        let found = expand(&schedule(&start, ZONE, rrule), &start, 200);
        assert_eq!((found.first(), found.last()), (Some(&local(&start)), Some(&local(&last))), "{rrule}");
        assert_eq!(found.len(), count, "{rrule}");
    }
}

/// Every Friday the 13th, but for the start: the example with EXDATE.
#[test]
fn the_example_with_an_exception() {
    let start = "1997-09-02 09:00";
    let fridays =
        schedule_with(start, ZONE, "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", &["1997-09-02T09:00"], OnGap::Shift);
    let expected = days("1998-02: 13 | 1998-03: 13 | 1998-11: 13 | 1999-08: 13 | 2000-10: 13");
    assert_eq!(expand(&fridays, start, 5), expected);
}

/// Hours and minutes. The end of the first is printed as 17:00 in UTC, which is 13:00 in New York; an erratum of the RFC
/// takes it for the 17:00 in New York that its text speaks of.
#[test]
fn the_examples_within_a_day() {
    let start = "1997-09-02 09:00";
    let each_twenty = "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40";
    let minutely = "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16";
    for (rrule, expected, all) in [
        ("FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000Z", "09:00 12:00", true),
        ("FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T210000Z", "09:00 12:00 15:00", true),
        ("FREQ=MINUTELY;INTERVAL=15;COUNT=6", "09:00 09:15 09:30 09:45 10:00 10:15", true),
        ("FREQ=MINUTELY;INTERVAL=90;COUNT=4", "09:00 10:30 12:00 13:30", true),
        (
            each_twenty,
            "09:00 09:20 09:40 10:00 10:20 10:40 11:00 11:20 11:40 12:00 12:20 12:40 13:00 13:20 13:40 14:00 14:20 14:40 15:00 15:20 15:40 16:00 16:20 16:40",
            false,
        ),
        (
            minutely,
            "09:00 09:20 09:40 10:00 10:20 10:40 11:00 11:20 11:40 12:00 12:20 12:40 13:00 13:20 13:40 14:00 14:20 14:40 15:00 15:20 15:40 16:00 16:20 16:40",
            false,
        ),
    ] {
        let expected: Vec<_> = expected.split(' ').map(|time| local(&format!("1997-09-02 {time}"))).collect();
        let found = expand(&schedule(start, ZONE, rrule), start, expected.len() + 1);
        assert_eq!(found.get(..expected.len()), Some(expected.as_slice()), "{rrule}");
        let next_day = local("1997-09-03 09:00");
        assert_eq!(found.get(expected.len()), Some(&next_day).filter(|_| !all), "{rrule}");
    }
}

/// R87: parts that go with HOURLY and MINUTELY, long intervals, weeks without days, seconds: computed by hand after the table of
/// section 3.3.10.
#[test]
fn all_parts_go_where_the_table_says() {
    for (start, rrule, expected) in [
        // the last of each hour's set
        (
            "2026-06-01 09:10",
            "FREQ=HOURLY;BYMINUTE=0,15,30;BYSETPOS=-1",
            "2026-06-01 09:30 | 2026-06-01 10:30 | 2026-06-01 11:30",
        ),
        ("2026-06-01 09:10", "FREQ=HOURLY;BYMINUTE=0,15,30;BYSETPOS=1", "2026-06-01 10:00 | 2026-06-01 11:00"),
        (
            "2026-06-01 09:10",
            "FREQ=HOURLY;INTERVAL=5;BYMINUTE=0,15,30;BYSETPOS=1,-1",
            "2026-06-01 09:30 | 2026-06-01 14:00 | 2026-06-01 14:30",
        ),
        (
            "2026-06-01 09:10",
            "FREQ=HOURLY;BYMINUTE=0,15;BYHOUR=9,12;BYSETPOS=2",
            "2026-06-01 09:15 | 2026-06-01 12:15 | 2026-06-02 09:15",
        ),
        // the set of a minute has one time
        (
            "2026-06-01 09:10",
            "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,11;BYSETPOS=1",
            "2026-06-01 09:10 | 2026-06-01 09:30 | 2026-06-01 09:50 | 2026-06-01 11:10",
        ),
        (
            "2026-06-01 09:10",
            "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,11;BYSETPOS=-1",
            "2026-06-01 09:10 | 2026-06-01 09:30",
        ),
        // days of the year limit hours and minutes: 10 April is the hundredth, 31 December the last
        (
            "2026-01-01 22:00",
            "FREQ=HOURLY;INTERVAL=12;BYYEARDAY=100,-1",
            "2026-04-10 10:00 | 2026-04-10 22:00 | 2026-12-31 10:00 | 2026-12-31 22:00 | 2027-04-10 10:00",
        ),
        (
            "2026-01-01 00:00",
            "FREQ=MINUTELY;INTERVAL=720;BYYEARDAY=60",
            "2026-03-01 00:00 | 2026-03-01 12:00 | 2027-03-01 00:00 | 2027-03-01 12:00 | 2028-02-29 00:00",
        ),
        // a day of minutes, a week of hours, a year of both
        ("2026-06-01 09:10", "FREQ=MINUTELY;INTERVAL=1440", "2026-06-01 09:10 | 2026-06-02 09:10 | 2026-06-03 09:10"),
        ("2026-06-01 09:10", "FREQ=MINUTELY;INTERVAL=10080;BYDAY=MO", "2026-06-01 09:10 | 2026-06-08 09:10"),
        ("2026-06-01 09:10", "FREQ=HOURLY;INTERVAL=8760", "2026-06-01 09:10 | 2027-06-01 09:10 | 2028-05-31 09:10"),
        // weeks without days: the start's day of each, a Monday; week 20 of 2026 begins on 11 May, of 2027 on 17 May
        ("2026-01-05 09:00", "FREQ=YEARLY;BYWEEKNO=20", "2026-05-11 09:00 | 2027-05-17 09:00 | 2028-05-15 09:00"),
        (
            "2026-01-05 09:00",
            "FREQ=YEARLY;BYWEEKNO=1,-1",
            "2026-12-28 09:00 | 2027-01-04 09:00 | 2027-12-27 09:00 | 2028-01-03 09:00",
        ),
        ("2026-01-07 09:00", "FREQ=YEARLY;BYWEEKNO=20;INTERVAL=2", "2026-05-13 09:00 | 2028-05-17 09:00"),
        // the second of each minute
        ("2026-06-01 09:10", "FREQ=DAILY;BYSECOND=0", "2026-06-01 09:10 | 2026-06-02 09:10"),
        (
            "2026-06-01 09:10",
            "FREQ=DAILY;BYHOUR=8;BYMINUTE=30;BYSECOND=0;COUNT=2",
            "2026-06-02 08:30 | 2026-06-03 08:30",
        ),
        ("2026-06-01 09:10", "FREQ=HOURLY;BYSECOND=0", "2026-06-01 09:10 | 2026-06-01 10:10"),
    ] {
        let expected: Vec<_> = expected.split(" | ").map(local).collect();
        let schedule = schedule(start, "UTC", rrule);
        let found = occurrences(&schedule, local(start).and_utc() - Duration::seconds(1), expected.len());
        assert_eq!(found.iter().map(|at| at.naive_utc()).collect::<Vec<_>>(), expected, "{rrule} from {start}");
    }
    let half = "2026-06-01T09:10:30".parse().unwrap();
    for (rrule, expected) in [
        ("FREQ=DAILY;BYSECOND=0", "2026-06-02T09:10:00"),
        ("FREQ=DAILY", "2026-06-01T09:10:30"),
        ("FREQ=HOURLY;BYSECOND=45", "2026-06-01T09:10:45"),
        ("FREQ=HOURLY;BYSECOND=15", "2026-06-01T10:10:15"),
        ("FREQ=HOURLY;BYMINUTE=10,20;BYSECOND=0", "2026-06-01T09:20:00"),
        ("FREQ=MINUTELY;INTERVAL=5;BYSECOND=0", "2026-06-01T09:15:00"),
    ] {
        let rule = Some(rrule);
        let schedule = Schedule::new(half, zone("UTC"), rule, Default::default(), OnGap::Shift).unwrap();
        let first = schedule.next_after(half.and_utc() - Duration::seconds(1)).unwrap().unwrap();
        assert_eq!(first.naive_utc(), expected.parse::<NaiveDateTime>().unwrap(), "{rrule}");
    }
}

/// R87: a block as calendars write it is read where its DTSTART says what the start says; else it is said what to leave out.
#[test]
fn a_pasted_block_is_read_or_told_what_to_leave_out() {
    const DAILY: &str = "FREQ=DAILY;COUNT=10";
    let accept = |raw: &str| {
        let spec = Spec {
            start: "1997-09-02T09:00",
            timezone: ZONE,
            recurrence: None,
            rrule: Some(raw),
            exdates: &[],
            on_gap: OnGap::Shift,
            window_start: None,
            window_end: None,
        };
        spec.check(DateTime::UNIX_EPOCH, 1).map(|accepted| accepted.rrule.unwrap())
    };
    for raw in [
        "DTSTART;TZID=America/New_York:19970902T090000\nRRULE:FREQ=DAILY;COUNT=10",
        "DTSTART;TZID=\"America/New_York\":19970902T090000\r\nRRULE:FREQ=DAILY;COUNT=10\r\n",
        "dtstart:19970902T090000\nrrule:freq=daily;count=10",
        "RRULE:FREQ=DAILY;COUNT=10\nDTSTART:19970902T130000Z",
        "DTSTART;TZID=America/New_York:19970902T090000\\nRRULE:FREQ=DAILY;COUNT=10",
        "DTSTART;TZID=America/New_York:19970902T090000\nRRULE:FREQ=DAILY\n ;COUNT=10",
        "BEGIN:VEVENT\nDTSTART:19970902T090000\nFREQ=DAILY;COUNT=10\nSUMMARY:Stand-up\nEND:VEVENT",
        "  RRULE:FREQ=DAILY;COUNT=10  ",
    ] {
        assert_eq!(accept(raw).as_deref(), Ok(DAILY), "{raw}");
    }
    for (raw, words) in [
        ("DTSTART;TZID=America/New_York:19970903T090000\nRRULE:FREQ=DAILY", "leave the line DTSTART out"),
        ("DTSTART;TZID=Europe/Berlin:19970902T090000\nRRULE:FREQ=DAILY", "DTSTART 19970902T090000 in Europe/Berlin"),
        ("DTSTART:19970902T090000Z\nRRULE:FREQ=DAILY", "as `start` and `timezone`"),
        ("DTSTART;VALUE=DATE:19970902\nRRULE:FREQ=DAILY", "leave the line DTSTART out"),
        ("RRULE:FREQ=DAILY\nEXDATE:19970903T090000", "give its dates as `exdates`"),
        ("RRULE:FREQ=DAILY\nRDATE:19970903T090000", "RDATE: leave it out"),
        ("RRULE:FREQ=DAILY\nDURATION:PT1H", "no length"),
        ("RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY", "more than one rule"),
        ("RRULE:FREQ=DAILY\nLOCATION:Berlin", "line LOCATION: leave it out"),
        ("DTSTART:19970902T090000", "no rule"),
    ] {
        let error = accept(raw).unwrap_err();
        assert_eq!(error.field, "rrule", "{raw}");
        assert!(error.message.contains(words), "{raw}: {error}");
    }
}
