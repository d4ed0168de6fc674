//! R41: python-dateutil as a second opinion on random rules, on dates without changes of clocks. `dev/oracle.py` writes the
//! file, and says what is left out.

use chrono::{DateTime, Duration, NaiveDateTime, TimeZone as _, Utc};
use schedule::recurrence::accept_rrule;
use schedule::zone::Tz;
use schedule::{OnGap, Schedule};

use super::zone;

struct Case<'a> {
    rrule: &'a str,
    tz: Tz,
    start: NaiveDateTime,
    after: DateTime<Utc>,
    expected: Vec<DateTime<Utc>>,
    /// The rule has no more occurrences than these.
    ends: bool,
}

fn minute(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(minutes * 60, 0).unwrap()
}

fn cases() -> Vec<Case<'static>> {
    let lines = include_str!("oracle.txt").lines().filter(|line| !line.starts_with('#'));
    let case = |line: &'static str| {
        let words: Vec<&str> = line.split(' ').collect();
        let mut at = 0;
        let deltas = words[4].split('+').filter(|delta| *delta != "-").map(|delta| delta.parse::<i64>().unwrap());
        let expected = deltas.map(|delta| {
            at += delta;
            minute(at)
        });
        Case {
            rrule: words[0],
            tz: zone(words[1]),
            start: NaiveDateTime::parse_from_str(words[2], "%Y-%m-%dT%H:%M").unwrap(),
            after: minute(words[3].parse().unwrap()),
            expected: expected.collect(),
            ends: words.get(5) == Some(&"."),
        }
    };
    lines.map(case).collect()
}

#[test]
fn dateutil_agrees() {
    let cases = cases();
    let mut differences = Vec::new();
    for case in &cases {
        let rrule = accept_rrule(case.rrule, case.tz).unwrap_or_else(|error| panic!("{}: {error}", case.rrule));
        let schedule = Schedule::new(case.start, case.tz, Some(&rrule), Default::default(), OnGap::Shift).unwrap();
        let count = case.expected.len() + usize::from(case.ends);
        let found = schedule.following(case.after, count).map(|found| found.occurrences).unwrap_or_default();
        let found: Vec<_> = found.iter().map(|occurrence| occurrence.at).collect();
        if found != case.expected {
            let expected = &case.expected;
            differences.push(format!(
                "{} from {} in {} after {}: {found:?}, not {expected:?}",
                case.rrule, case.start, case.tz, case.after
            ));
        }
    }
    println!("{} cases, {} differences", cases.len(), differences.len());
    assert!(cases.len() >= 5_000, "only {} cases", cases.len());
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// The crate `rrule` as a third opinion, where it can be relied on: in UTC, near the start, on days. (Of
/// `MINUTELY;INTERVAL=7;BYMONTHDAY=-6,-5,30` with weekdays it loses the first month.)
#[test]
fn the_rrule_crate_agrees() {
    let mut compared = 0;
    let cases = cases().into_iter().filter(|case| !case.rrule.contains("HOURLY") && !case.rrule.contains("MINUTELY"));
    for case in cases.step_by(5) {
        let rrule = accept_rrule(case.rrule, Tz::UTC).unwrap();
        let start = rrule::Tz::UTC.from_utc_datetime(&case.start);
        let text =
            rrule.split_once(";UNTIL=").map_or_else(|| rrule.clone(), |(rule, until)| format!("{rule};UNTIL={until}Z"));
        let Ok(rule) = text.parse::<rrule::RRule<rrule::Unvalidated>>() else { continue };
        let Ok(rule) = rule.validate(start) else { continue };
        let expected: Vec<_> = rrule::RRuleSet::new(start).rrule(rule).limit().into_iter().take(3).collect();
        let schedule = Schedule::new(case.start, Tz::UTC, Some(&rrule), Default::default(), OnGap::Shift).unwrap();
        let found = schedule.following(case.start.and_utc() - Duration::seconds(1), 3).unwrap().occurrences;
        // it gives up early on what comes rarely
        let found: Vec<_> = found.iter().take(expected.len()).map(|occurrence| occurrence.at.to_rfc3339()).collect();
        let expected: Vec<_> = expected.iter().map(|at| at.with_timezone(&Utc).to_rfc3339()).collect();
        assert_eq!(found, expected, "{rrule} from {}", case.start);
        compared += usize::from(!expected.is_empty());
    }
    println!("{compared} compared");
    assert!(compared >= 500, "only {compared} compared");
}
