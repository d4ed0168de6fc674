//! R40, R41: every minute around a change of clocks, looked at one by one, as a second opinion on what the expansion skips.

use chrono::{DateTime, Datelike as _, Duration, NaiveDateTime, TimeZone as _, Timelike as _, Utc};
use proptest::prelude::*;
use schedule::recurrence::accept_rrule;
use schedule::zone::Tz;
use schedule::{OnGap, Schedule};

use super::{utc, zone};

/// A zone, and minutes of UTC that lie about a day before its clocks change.
const CHANGES: [(&str, &str); 16] = [
    ("America/New_York", "2026-03-07 05:00"),
    ("America/New_York", "2026-10-31 05:00"),
    ("America/Santiago", "2026-04-04 03:00"),
    ("America/Santiago", "2026-09-05 04:00"),
    ("America/Sao_Paulo", "2018-11-03 03:00"),
    ("America/Sao_Paulo", "2019-02-16 02:00"),
    ("America/Havana", "2026-10-31 05:00"),
    ("Africa/Casablanca", "2026-02-14 02:00"),
    ("Africa/Casablanca", "2026-03-21 02:00"),
    ("Africa/Cairo", "2026-04-23 02:00"),
    ("Antarctica/Troll", "2026-03-28 01:00"),
    ("Antarctica/Troll", "2026-10-24 01:00"),
    ("Asia/Kuala_Lumpur", "1981-12-30 16:00"),
    ("Australia/Lord_Howe", "2026-04-03 15:00"),
    ("Australia/Lord_Howe", "2026-10-02 15:00"),
    ("Pacific/Apia", "2011-12-28 22:00"),
];
/// How far each case is looked at.
const DAYS: i64 = 4;

/// The parts of a rule that choose among minutes; empty: all.
#[derive(Debug, Clone)]
struct Parts {
    freq: &'static str,
    interval: i64,
    weekdays: Vec<u32>,
    hours: Vec<u32>,
    minutes: Vec<u32>,
}

impl Parts {
    fn rrule(&self) -> String {
        let mut text = format!("FREQ={};INTERVAL={}", self.freq, self.interval);
        let days = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
        let weekdays: Vec<_> = self.weekdays.iter().map(|day| days[*day as usize].to_owned()).collect();
        let texts = |values: &[u32]| values.iter().map(u32::to_string).collect::<Vec<_>>();
        for (name, values) in [("BYDAY", weekdays), ("BYHOUR", texts(&self.hours)), ("BYMINUTE", texts(&self.minutes))]
        {
            if !values.is_empty() {
                text.push_str(&format!(";{name}={}", values.join(",")));
            }
        }
        text
    }

    fn takes(&self, local: NaiveDateTime) -> bool {
        let holds = |values: &[u32], value: u32| values.is_empty() || values.contains(&value);
        holds(&self.weekdays, local.weekday().num_days_from_monday())
            && holds(&self.hours, local.hour())
            && holds(&self.minutes, local.minute())
    }

    /// What fires of a rule that counts real time.
    fn real_time(&self, start: DateTime<Utc>, wall: &[(DateTime<Utc>, NaiveDateTime)]) -> Vec<DateTime<Utc>> {
        let hour_of_start = start - Duration::minutes(i64::from(local_at(wall, start).minute()));
        let counts = |at: DateTime<Utc>| match (self.freq, self.minutes.is_empty()) {
            ("MINUTELY", _) => (at - start).num_minutes() % self.interval == 0,
            (_, true) => (at - start).num_minutes() % (60 * self.interval) == 0,
            (_, false) => (at - hour_of_start).num_minutes() / 60 % self.interval == 0,
        };
        let fires = |(at, local): &&(DateTime<Utc>, NaiveDateTime)| *at >= start && counts(*at) && self.takes(*local);
        wall.iter().filter(fires).map(|(at, _)| *at).collect()
    }

    /// What fires of a rule of days: each time on the wall once, shifted by the gap where there is none.
    fn days(&self, start: NaiveDateTime, wall: &[(DateTime<Utc>, NaiveDateTime)]) -> Vec<DateTime<Utc>> {
        let or = |values: &[u32], value: u32| if values.is_empty() { vec![value] } else { values.to_vec() };
        let (hours, minutes) = (or(&self.hours, start.hour()), or(&self.minutes, start.minute()));
        let mut found = Vec::new();
        for day in (0..=DAYS).step_by(usize::try_from(self.interval).unwrap()) {
            let date = start.date() + Duration::days(day);
            for (hour, minute) in hours.iter().flat_map(|hour| minutes.iter().map(move |minute| (*hour, *minute))) {
                let nominal = date.and_hms_opt(hour, minute, 0).unwrap();
                if nominal < start || !self.takes(nominal) {
                    continue;
                }
                let shown = wall.iter().find(|(_, local)| *local == nominal).map(|(at, _)| *at);
                let before = || {
                    wall.iter().rev().find(|(_, local)| *local < nominal).map(|(at, local)| *at + (nominal - *local))
                };
                found.extend(shown.or_else(before));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn local_at(wall: &[(DateTime<Utc>, NaiveDateTime)], at: DateTime<Utc>) -> NaiveDateTime {
    wall.iter().find(|(minute, _)| *minute == at).map(|(_, local)| *local).unwrap()
}

fn parts() -> impl Strategy<Value = Parts> {
    let some = |values: Vec<u32>, most| prop_oneof![2 => Just(Vec::new()), 1 => proptest::sample::subsequence(values, 1..=most)];
    let freq = proptest::sample::select(vec!["MINUTELY", "HOURLY", "DAILY"]);
    let minutes = vec![0, 5, 15, 20, 30, 40, 45, 55];
    (freq, 1..30i64, some((0..7).collect(), 4), some((0..24).collect(), 9), some(minutes, 4)).prop_map(
        |(freq, interval, weekdays, hours, minutes)| {
            let interval = match freq {
                "MINUTELY" => interval + 4,
                "HOURLY" => interval % 5 + 1,
                _ => interval % 2 + 1,
            };
            Parts { freq, interval, weekdays, hours, minutes }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn each_minute_agrees(change in 0..CHANGES.len(), parts in parts(), ahead in 0..2_000i64) {
        let (name, about) = CHANGES[change];
        let tz: Tz = zone(name);
        let from = utc(about) - Duration::days(1);
        let wall: Vec<_> = (0..(DAYS + 3) * 1_440)
            .map(|minute| from + Duration::minutes(minute))
            .map(|at| (at, tz.from_utc_datetime(&at.naive_utc()).naive_local()))
            .collect();
        let start = from + Duration::minutes(ahead);
        let local = local_at(&wall, start);
        // the second of two equal times is no start that is stored
        prop_assume!(wall.iter().find(|(_, other)| *other == local).unwrap().0 == start);
        let rrule = accept_rrule(&parts.rrule(), tz).unwrap();
        let end = start + Duration::days(DAYS) - Duration::hours(26);
        let mut expected =
            if parts.freq == "DAILY" { parts.days(local, &wall) } else { parts.real_time(start, &wall) };
        expected.retain(|at| *at < end);
        let schedule = Schedule::new(local, tz, Some(&rrule), Default::default(), OnGap::Shift).unwrap();
        let found = schedule.following(start - Duration::seconds(1), expected.len() + 1);
        let mut found: Vec<_> = found.map(|found| found.occurrences).unwrap_or_default().iter().map(|one| one.at).collect();
        found.retain(|at| *at < end);
        prop_assert_eq!(&found, &expected, "{} from {} in {}", rrule, local, name);
        // and from anywhere
        for pair in expected.windows(2) {
            prop_assert_eq!(schedule.next_after(pair[0]).unwrap(), Some(pair[1]));
        }
    }
}
