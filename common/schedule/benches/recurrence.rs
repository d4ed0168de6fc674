//! What the worst accepted recurrence costs (`docs/benchmarks.md`): random hostile rules and some that were thought up, each
//! asked for its next occurrence from where that is dear. Prints the dearest.
//!
//!     cargo bench -p schedule --all-features --bench recurrence [-- RULES [SEED]]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for people at a terminal"
)]

use std::hint::black_box;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use rustix::time::{ClockId, clock_gettime};
use schedule::exdates::Exdates;
use schedule::recurrence::accept_rrule;
use schedule::steps::STEPS_MAX;
use schedule::zone::Tz;
use schedule::{OnGap, Schedule, Start};

/// Rules that are tried if no number is given.
const RULES: usize = 5_000;
/// How often what looks dear is measured again; the least counts.
const AGAIN: usize = 15;
const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"];

fn zone(name: &str) -> Tz {
    name.parse().unwrap()
}

/// A call and what it cost.
struct Cost {
    what: String,
    steps: u32,
    took: Duration,
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<u64>().ok());
    let rules = numbers.next().and_then(|rules| usize::try_from(rules).ok()).unwrap_or(RULES);
    let seed = numbers.next().unwrap_or(5545);
    let mut dice = StdRng::seed_from_u64(seed);
    let now: DateTime<Utc> = "2026-11-25T12:00:00Z".parse().unwrap();
    let (mut next, mut accepting) = (Vec::new(), Vec::new());
    let (mut accepted, mut refused) = (0, 0);
    for number in 0..rules {
        let (rule, tz, start) = match THOUGHT_UP.get(number) {
            Some(rule) => ((*rule).to_owned(), zone("Europe/Berlin"), "2026-12-01T09:00:00".parse().unwrap()),
            None => hostile(&mut dice),
        };
        let Ok(rrule) = accept_rrule(&rule, tz) else {
            refused += 1;
            continue;
        };
        let exdates = if dice.random_bool(0.1) { pause(start) } else { Exdates::default() };
        let schedule = Schedule::new(start, tz, Some(&rrule), exdates, OnGap::Shift).unwrap();
        let what = format!("{rrule} from {start} in {tz}");
        let begin = Start::stored(start, tz);
        let taken = measured(2, || schedule.first(now, 1).is_ok());
        accepting.push(Cost { what: what.clone(), steps: 0, took: taken });
        if schedule.first(now, 1).is_err() {
            refused += 1;
            continue;
        }
        accepted += 1;
        for after in instants(&schedule, begin.at) {
            let took = measured(1, || schedule.next_after(after).is_ok());
            let found = schedule.following(after, 1);
            let steps = found.as_ref().map_or(STEPS_MAX, |found| found.steps);
            if let Err(error) = found {
                println!("FAILS after {after}: {what}: {error}");
            }
            next.push(Cost { what: format!("{what}, after {after}"), steps, took });
            keep_dearest(&mut next, &schedule, after, took);
        }
    }
    println!("{rules} rules of seed {seed}: {accepted} accepted, {refused} refused; {} calls", next.len());
    report("the next occurrence of an accepted rule", next);
    report("accepting or refusing a rule", accepting);
}

/// Measures again what looks like one of the dearest.
fn keep_dearest(costs: &mut [Cost], schedule: &Schedule, after: DateTime<Utc>, took: Duration) {
    if took > Duration::from_micros(500)
        && let Some(last) = costs.last_mut()
    {
        last.took = measured(AGAIN, || schedule.next_after(after).is_ok());
    }
}

/// The least processor time of so many calls: what else runs on the machine does not count.
fn measured(times: usize, call: impl Fn() -> bool) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let once = || {
        let begin = now();
        black_box(call());
        now() - begin
    };
    (0..times).map(|_| once()).min().unwrap_or_default()
}

fn report(what: &str, mut costs: Vec<Cost>) {
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.took));
    let median = costs.get(costs.len() / 2).map_or(Duration::ZERO, |cost| cost.took);
    let p99 = costs.get(costs.len() / 100).map_or(Duration::ZERO, |cost| cost.took);
    println!("\n{what}: p50 {median:.1?}, p99 {p99:.1?}; the dearest:");
    for cost in costs.iter().take(8) {
        println!("{:>10.1?} {:>7} steps  {}", cost.took, cost.steps, cost.what);
    }
}

/// Early, years later, and late in the life of a rule that ends.
fn instants(schedule: &Schedule, start: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let years = [0, 1, 5, 30, 100].map(|years| start + TimeDelta::days(years * 365));
    let mut instants = vec![start - TimeDelta::seconds(1)];
    instants.extend(years);
    // the last occurrence, and behind it
    let (mut last, mut behind) = (start, start + TimeDelta::days(174 * 365));
    while behind - last > TimeDelta::seconds(1) {
        let middle = last + (behind - last) / 2;
        match schedule.next_after(middle) {
            Ok(Some(_)) => last = middle,
            _ => behind = middle,
        }
    }
    instants.extend([last, behind]);
    instants
}

/// All the days that may be left out, in a row.
fn pause(start: NaiveDateTime) -> Exdates {
    let days: Vec<String> = (1..=500).map(|day| (start.date() + TimeDelta::days(day)).to_string()).collect();
    Exdates::parse(&days, Tz::UTC).unwrap()
}

/// A rule, a zone and a start. Most parts are long or rarely agree with each other.
fn hostile(dice: &mut StdRng) -> (String, Tz, NaiveDateTime) {
    let freq = *["MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"].choose(dice).unwrap();
    let interval = match dice.random_range(0..3) {
        0 => 1,
        1 => dice.random_range(1..=30),
        _ => dice.random_range(1..=999),
    };
    let interval = if freq == "MINUTELY" { interval.max(5) } else { interval };
    let mut rule = format!("FREQ={freq};INTERVAL={interval}");
    let mut part = |dice: &mut StdRng, name: &str, chance: f64, values: Vec<String>| {
        if dice.random_bool(chance) {
            let most = *[1, 1, 2, 5, 24, 100].choose(dice).unwrap();
            let some = values.iter().sample(dice, most);
            let some: Vec<&str> = some.into_iter().map(String::as_str).collect();
            let longer = format!("{rule};{name}={}", some.join(","));
            if longer.len() < 980 {
                rule = longer;
            }
        }
    };
    let signed = |most: i32| (-most..=most).filter(|value| *value != 0).map(|value| value.to_string()).collect();
    let plain = |values: std::ops::Range<i32>| values.map(|value| value.to_string()).collect();
    let week = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
    let days = match (freq, dice.random_bool(0.5)) {
        ("YEARLY", true) => {
            (-53..=53).filter(|nth| *nth != 0).flat_map(|nth| week.map(|day| format!("{nth}{day}"))).collect()
        }
        ("MONTHLY", true) => {
            (-5..=5).filter(|nth| *nth != 0).flat_map(|nth| week.map(|day| format!("{nth}{day}"))).collect()
        }
        _ => week.map(str::to_owned).to_vec(),
    };
    part(dice, "BYDAY", 0.5, days);
    part(dice, "BYMONTH", 0.4, plain(1..13));
    if freq != "WEEKLY" {
        part(dice, "BYMONTHDAY", 0.5, signed(31));
    }
    if freq == "YEARLY" {
        part(dice, "BYYEARDAY", 0.4, signed(366));
        part(dice, "BYWEEKNO", 0.3, signed(53));
    }
    part(dice, "BYHOUR", 0.4, plain(0..24));
    let minutes = if freq == "MINUTELY" { plain(0..60) } else { (0..12).map(|five| (five * 5).to_string()).collect() };
    part(dice, "BYMINUTE", 0.4, minutes);
    if !["MINUTELY", "HOURLY"].contains(&freq) {
        part(dice, "BYSETPOS", 0.3, signed(366));
    }
    if dice.random_bool(0.3) {
        rule.push_str(";WKST=SU");
    }
    match dice.random_range(0..10) {
        0..5 => rule.push_str(&format!(";COUNT={}", [10_000, 9_999, 1_000, 300].choose(dice).unwrap())),
        5 => rule.push_str(";UNTIL=21991231"),
        _ => {}
    }
    let start: NaiveDateTime = "2026-11-26T00:00:00".parse().unwrap();
    let start = start + TimeDelta::minutes(dice.random_range(0..4 * 525_600));
    (rule, zone(ZONES.choose(dice).unwrap()), start)
}

/// Dear for a reason: late counts, a day in many years, positions in a year of five-minute steps.
const THOUGHT_UP: [&str; 14] = [
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU",
    "FREQ=HOURLY;COUNT=10000",
    "FREQ=HOURLY;BYHOUR=8;COUNT=10000",
    "FREQ=HOURLY;INTERVAL=5;BYHOUR=8;COUNT=5000",
    "FREQ=MINUTELY;INTERVAL=5;COUNT=10000",
    "FREQ=MINUTELY;INTERVAL=7;BYMINUTE=0;COUNT=10000",
    "FREQ=MINUTELY;INTERVAL=997;BYHOUR=9;BYMINUTE=0",
    "FREQ=MINUTELY;INTERVAL=7;BYHOUR=9;BYMINUTE=0;BYMONTHDAY=29;BYMONTH=2",
    "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;COUNT=10000",
    "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;COUNT=10000",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;COUNT=10000",
    "FREQ=YEARLY;COUNT=10000",
    "FREQ=DAILY;BYMONTHDAY=-1,15;COUNT=4000",
    "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO,TU,WE,TH,FR,SA,SU;COUNT=300",
];
