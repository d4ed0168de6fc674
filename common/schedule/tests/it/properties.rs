//! What holds for any schedule. A failing case prints its seed.

use chrono::{Datelike as _, Days, Duration, NaiveDate};
use proptest::prelude::*;
use schedule::exdates::Exdates;
use schedule::occurrence::Clocks;
use schedule::recurrence::accept_rrule;
use schedule::wall_clock::instant_of;
use schedule::zone::Tz;
use schedule::{End, Kind, OnGap, Recurrence, Schedule, Weekday};

use super::{local, zone};

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
        times: Vec::new(),
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

    /// What is re-armed lies strictly ahead, on the wall clock's own time of day unless clocks skip it, and starting the
    /// expansion nearer to now changes nothing.
    #[test]
    fn the_next_occurrence_is_ahead_and_on_time(
        spec in specs(), tz in zones(), minute in 0..1_440i64, day in 0..800u64, after in 0..900i64,
    ) {
        let start = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap() + Days::new(day) + Duration::minutes(minute);
        let rrule = spec.to_rrule().unwrap();
        let schedule = Schedule::new(start, tz, rrule.as_deref(), Default::default(), OnGap::Shift).unwrap();
        let after = instant_of(start, tz) + Duration::hours(after * 17);
        let next = schedule.next_after(after).unwrap();
        if let Some(next) = next {
            prop_assert!(next > after);
            let local = next.with_timezone(&tz).naive_local();
            let shift = (local - local.date().and_time(start.time())).num_minutes().rem_euclid(1_440);
            prop_assert!(shift == 0 || shift == 60 || shift == 30, "{} {:?}", shift, next);
            // no occurrence between: asking from just before answers the same
            prop_assert_eq!(schedule.next_after(next - Duration::seconds(1)).unwrap(), Some(next));
            if spec.kind == Kind::Daily && spec.end == End::Never && shift == 0 {
                prop_assert_eq!((local.date() - start.date()).num_days() % i64::from(spec.interval), 0);
            }
            if spec.kind == Kind::Yearly && shift == 0 {
                prop_assert_eq!((local.month(), local.day()), (start.month(), start.day()));
            }
        }
    }

    /// Any accepted rule, also across changes of clocks: what comes is in order and never less than five minutes apart; where
    /// the search begins does not matter; what is left out or skipped is not told.
    #[test]
    fn any_rule_goes_forward(raw in raw_rules(), tz in zones(), minute in 0..2_000_000i64, ahead in 0..400_000i64, skip: bool) {
        let start = local("2024-01-01 00:00") + Duration::minutes(minute);
        let Ok(rrule) = accept_rrule(&raw, tz) else { return Ok(()) };
        prop_assert_eq!(accept_rrule(&rrule, tz).unwrap(), rrule.clone());
        let on_gap = if skip { OnGap::Skip } else { OnGap::Shift };
        let schedule = Schedule::new(start, tz, Some(&rrule), Default::default(), on_gap).unwrap();
        let after = instant_of(start, tz) + Duration::minutes(ahead);
        let Ok(found) = schedule.following(after, 6) else { return Ok(()) };
        let mut last = after;
        for (place, occurrence) in found.occurrences.iter().enumerate() {
            let least = if place == 0 { Duration::seconds(1) } else { Duration::minutes(5) };
            prop_assert!(occurrence.at - last >= least, "{} {:?}", rrule, found);
            prop_assert_eq!(schedule.next_after(last).unwrap(), Some(occurrence.at));
            prop_assert_eq!(schedule.next_after(occurrence.at - Duration::seconds(1)).unwrap(), Some(occurrence.at));
            prop_assert!(!skip || occurrence.clocks != Some(Clocks::Shifted));
            let shown = occurrence.at.with_timezone(&tz).naive_local();
            prop_assert!(shown == occurrence.nominal || occurrence.clocks == Some(Clocks::Shifted));
            last = occurrence.at;
        }
        if let Some(first) = found.occurrences.first() {
            let without = [first.nominal.format("%Y-%m-%dT%H:%M").to_string()];
            let exdates = Exdates::parse(&without, tz).unwrap();
            let schedule = Schedule::new(start, tz, Some(&rrule), exdates, on_gap).unwrap();
            prop_assert!(schedule.next_after(after).ok().flatten().is_none_or(|next| next > first.at));
        }
    }
}

/// Raw rules of all sorts; some are refused.
fn raw_rules() -> impl Strategy<Value = String> {
    let freq = proptest::sample::select(vec!["MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"]);
    let interval = prop_oneof![Just(1u32), 1..60u32];
    let part = |name: &'static str, values: &'static str| {
        let values: Vec<&str> = values.split(' ').collect();
        let some =
            proptest::sample::subsequence(values, 1..=3).prop_map(move |some| format!(";{name}={}", some.join(",")));
        prop_oneof![3 => Just(String::new()), 1 => some]
    };
    let parts = (
        part("BYDAY", "MO TU WE FR SU"),
        part("BYDAY", "1MO -1FR 2SU 5SA"),
        part("BYHOUR", "0 1 2 3 9 23"),
        part("BYMINUTE", "0 10 30 45 55"),
        part("BYMONTH", "2 3 4 9 10 11"),
        part("BYMONTHDAY", "1 8 29 31 -1 -7"),
        part("BYSETPOS", "1 2 -1"),
    );
    let end = proptest::sample::select(vec!["", "", ";COUNT=40", ";UNTIL=20270101T000000", ";WKST=SU"]);
    (freq, interval, parts, end).prop_map(|(freq, interval, parts, end)| {
        let (days, numbered, hours, minutes, months, month_days, positions) = parts;
        let days = if days.is_empty() { numbered } else { days };
        format!("FREQ={freq};INTERVAL={interval}{days}{hours}{minutes}{months}{month_days}{positions}{end}")
    })
}
