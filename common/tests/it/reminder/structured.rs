//! R41: structured specs, and the rules they become.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use common::reminder::recurrence::accept_rrule;
use common::reminder::{End, Kind, Recurrence, Weekday};
use common::zone::Tz;

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
                let spec = Recurrence { kind, interval, weekdays: weekdays.clone(), month_day, end };
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
        (Recurrence { kind: Kind::None, interval: 2, ..base }, "recurrence.kind"),
    ];
    for (spec, field) in table {
        assert_eq!(spec.to_rrule().unwrap_err().field, field, "{spec:?}");
    }
}
