//! R41: structured specs, and the rules they become.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use schedule::recurrence::accept_rrule;
use schedule::zone::Tz;
use schedule::{End, Kind, OnGap, Recurrence, Schedule, Spec, Stored, Weekday, summary};

use super::{occurrences, schedule, shown, utc};

/// Every combination of kind, weekdays, month day and kind of end, with the least, a middle and the greatest interval: a spec
/// builds a rule that reads back as the same spec, is accepted raw as it is, and names its weekdays in calendar order.
#[test]
fn every_spec_survives_the_round_trip() {
    let until = |year, month, day| End::Until(NaiveDate::from_ymd_opt(year, month, day).unwrap());
    let ends = [End::Never, End::After(1), End::After(10_000), until(2026, 12, 31), until(2028, 2, 29)];
    let all_weekdays =
        (0..128u8).map(|set| Weekday::ALL.into_iter().filter(|day| set & 1 << *day as u8 != 0).collect());
    let all_weekdays: Vec<BTreeSet<Weekday>> = all_weekdays.collect();
    let month_days: Vec<Option<i8>> = [None, Some(-1)].into_iter().chain((1..=31).map(Some)).collect();
    let (no_weekdays, no_month_day) = ([BTreeSet::new()], [None]);
    let mut seen = 0;
    for (kind, weekdays, month_days) in [
        (Kind::Daily, no_weekdays.as_slice(), no_month_day.as_slice()),
        (Kind::Weekly, &all_weekdays, &no_month_day),
        (Kind::Monthly, &no_weekdays, &month_days),
        (Kind::Yearly, &no_weekdays, &no_month_day),
    ] {
        for (interval, end) in [1, 2, 999].into_iter().flat_map(|interval| ends.map(|end| (interval, end))) {
            for (weekdays, month_day) in weekdays.iter().flat_map(|days| month_days.iter().map(move |day| (days, *day)))
            {
                let spec = Recurrence { kind, interval, weekdays: weekdays.clone(), month_day, times: Vec::new(), end };
                let rrule = spec.to_rrule().unwrap().unwrap();
                assert_eq!(Recurrence::from_rrule(Some(&rrule)), Some(spec), "{rrule}");
                assert_eq!(accept_rrule(&rrule, Tz::UTC).unwrap(), rrule);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 15 * (1 + 128 + 33 + 1));
    assert_eq!(Recurrence::default().to_rrule().unwrap(), None);
    assert_eq!(Recurrence::from_rrule(None), Some(Recurrence::default()));
}

/// What a raw rule says beyond a spec is not dropped: there is no spec then.
#[test]
fn no_spec_says_less_than_the_rule() {
    for rrule in [
        "FREQ=HOURLY",
        "FREQ=MINUTELY;INTERVAL=30",
        "FREQ=DAILY;BYHOUR=9",
        "FREQ=DAILY;BYMINUTE=9",
        "FREQ=DAILY;BYDAY=MO",
        "FREQ=DAILY;UNTIL=20270101T090000",
        "FREQ=WEEKLY;BYDAY=MO;WKST=SU",
        "FREQ=WEEKLY;BYMONTH=1",
        "FREQ=MONTHLY;BYDAY=1MO",
        "FREQ=MONTHLY;BYMONTHDAY=1,15",
        "FREQ=MONTHLY;BYMONTHDAY=-2",
        "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1",
        "FREQ=YEARLY;BYMONTH=6",
        "FREQ=YEARLY;BYYEARDAY=100",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        "FREQ=NEVERLY",
    ] {
        assert_eq!(Recurrence::from_rrule(Some(rrule)), None, "{rrule}");
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
        let schedule = schedule(start, "UTC", rrule);
        let count = if rrule.contains("COUNT") || rrule.contains("UNTIL") { 9 } else { expected.len() };
        assert_eq!(shown(&occurrences(&schedule, utc(after), count)), expected, "{rrule} from {start}");
    }
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
        (Recurrence { times: texts(&["8"]), ..base.clone() }, "recurrence.times"),
        (Recurrence { times: texts(&["24:00"]), ..base.clone() }, "recurrence.times"),
        (Recurrence { times: texts(&["08:00", "08:04"]), ..base.clone() }, "recurrence.times"),
        (Recurrence { times: texts(&["00:01", "23:58"]), ..base.clone() }, "recurrence.times"),
        (Recurrence { times: vec!["08:00".to_owned(); 2], ..base.clone() }, "recurrence.times"),
        (Recurrence { kind: Kind::None, times: texts(&["08:00"]), ..base.clone() }, "recurrence.kind"),
        (Recurrence { kind: Kind::None, interval: 2, ..base }, "recurrence.kind"),
    ];
    for (spec, field) in table {
        assert_eq!(spec.to_rrule().unwrap_err().field, field, "{spec:?}");
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// R88: several times a day. Where BYHOUR and BYMINUTE say just these, the rule does; else they stand beside it. Either way they are
/// read back, said in words, and fire at these times and no other.
#[test]
fn several_times_a_day() {
    for (times, rule, beside, words, day) in [
        (
            &["08:00", "13:30"][..],
            "FREQ=DAILY",
            &[480, 810][..],
            "Every day at 08:00, 13:30",
            &["2026-06-01 13:30", "2026-06-02 08:00", "2026-06-02 13:30"][..],
        ),
        (
            &["08:30", "13:30"],
            "FREQ=DAILY;BYHOUR=8,13;BYMINUTE=30;BYSECOND=0",
            &[],
            "Every day at 08:30, 13:30",
            &["2026-06-01 13:30", "2026-06-02 08:30"],
        ),
        (
            &["20:15"],
            "FREQ=DAILY;BYHOUR=20;BYMINUTE=15;BYSECOND=0",
            &[],
            "Every day at 20:15",
            &["2026-06-01 20:15", "2026-06-02 20:15"],
        ),
        (&[], "FREQ=DAILY", &[], "Every day", &["2026-06-01 09:00", "2026-06-02 09:00"]),
    ] {
        let spec = Recurrence { kind: Kind::Daily, times: texts(times), ..Recurrence::default() };
        let rrule = spec.to_rrule().unwrap().unwrap();
        assert_eq!(rrule, rule, "{times:?}");
        assert_eq!(Recurrence::from_stored(Some(&rrule), beside), Some(spec.clone()));
        assert_eq!(summary::of_stored(Some(&rrule), beside), words);
        let asked = Spec {
            start: "2026-06-01T09:00",
            timezone: "UTC",
            recurrence: Some(&spec),
            rrule: None,
            exdates: &[],
            on_gap: OnGap::Shift,
            window_start: None,
            window_end: None,
        };
        let accepted = asked.check(utc("2026-05-01 00:00"), day.len()).unwrap();
        assert_eq!((accepted.rrule.as_deref(), accepted.times.as_slice()), (Some(rule), beside));
        let found: Vec<_> = accepted.following.occurrences.iter().map(|one| one.at).collect();
        assert_eq!(shown(&found), day, "{times:?}");
        // beside the rule that an answer gives, as it is sent back
        let same = Spec { rrule: Some(rule), ..asked };
        assert_eq!(same.check(utc("2026-05-01 00:00"), 1).is_ok(), beside.is_empty(), "{times:?}");
        let other = Spec { rrule: Some("FREQ=WEEKLY"), ..asked };
        assert_eq!(other.check(utc("2026-05-01 00:00"), 1).unwrap_err().field, "rrule");
    }
    let weekly = Recurrence {
        kind: Kind::Weekly,
        weekdays: [Weekday::Mon, Weekday::Thu].into(),
        times: texts(&["08:00", "13:30"]),
        end: End::After(3),
        ..Recurrence::default()
    };
    let rrule = weekly.to_rrule().unwrap();
    assert_eq!(summary::of_stored(rrule.as_deref(), &[480, 810]), "Every Mon, Thu at 08:00, 13:30, 3 times");
    let stored = Stored {
        start_local: "2026-06-01T09:00:00".parse().unwrap(),
        start_later: false,
        timezone: "Europe/Berlin",
        rrule: rrule.as_deref(),
        times: &[480, 810],
        exdates: &[],
        on_gap: OnGap::Shift,
        window: None,
    };
    let found = occurrences(&Schedule::read(&stored).unwrap(), utc("2026-06-01 00:00"), 9);
    assert_eq!(shown(&found), ["2026-06-01 11:30", "2026-06-04 06:00", "2026-06-04 11:30"]);
}
