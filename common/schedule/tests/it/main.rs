//! One test binary: recurrence, schedule, window and words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]

use chrono::{DateTime, NaiveDateTime, Utc};
use schedule::exdates::Exdates;
use schedule::recurrence::accept_rrule;
use schedule::zone::Tz;
use schedule::{OnGap, Schedule, timezone};

mod clocks;
mod ends;
mod limits;
mod minutes;
mod moved;
mod oracle;
mod properties;
mod rearm;
mod rfc5545;
mod skipped;
mod spec;
mod structured;
mod window;
mod words;
mod zones;

pub(crate) fn local(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
}

pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    local(text).and_utc()
}

pub(crate) fn zone(name: &str) -> Tz {
    timezone(name).unwrap()
}

/// A schedule from a raw rule, as a request would make it, without exceptions.
pub(crate) fn schedule(start: &str, tz: &str, raw: &str) -> Schedule {
    schedule_with(start, tz, raw, &[], OnGap::Shift)
}

pub(crate) fn schedule_with(start: &str, tz: &str, raw: &str, exdates: &[&str], on_gap: OnGap) -> Schedule {
    let tz = zone(tz);
    let rrule = accept_rrule(raw, tz).unwrap_or_else(|error| panic!("{raw}: {error}"));
    let exdates: Vec<String> = exdates.iter().map(|text| (*text).to_owned()).collect();
    Schedule::new(local(start), tz, Some(&rrule), Exdates::parse(&exdates, tz).unwrap(), on_gap).unwrap()
}

/// The next occurrences, each asked for with the one before; the same come when all are asked for at once.
pub(crate) fn occurrences(schedule: &Schedule, after: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
    let (mut found, mut last) = (Vec::new(), after);
    while found.len() < count {
        let Some(next) = schedule.next_after(last).unwrap() else { break };
        assert!(next > last);
        found.push(next);
        last = next;
    }
    let at_once: Vec<_> = schedule.following(after, count).unwrap().occurrences.iter().map(|one| one.at).collect();
    assert_eq!(at_once, found);
    found
}

pub(crate) fn shown(instants: &[DateTime<Utc>]) -> Vec<String> {
    instants.iter().map(|at| at.format("%Y-%m-%d %H:%M").to_string()).collect()
}
