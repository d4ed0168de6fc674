//! Recurrence, schedule, window and words.

use chrono::{DateTime, NaiveDateTime, Utc};
use common::reminder::exdates::Exdates;
use common::reminder::recurrence::accept_rrule;
use common::reminder::{OnGap, Schedule, timezone};
use common::zone::Tz;

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

pub(super) fn local(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
}

pub(super) fn utc(text: &str) -> DateTime<Utc> {
    local(text).and_utc()
}

pub(super) fn zone(name: &str) -> Tz {
    timezone(name).unwrap()
}

/// A schedule from a raw rule, as a request would make it, without exceptions.
pub(super) fn schedule(start: &str, tz: &str, raw: &str) -> Schedule {
    schedule_with(start, tz, raw, &[], OnGap::Shift)
}

pub(super) fn schedule_with(start: &str, tz: &str, raw: &str, exdates: &[&str], on_gap: OnGap) -> Schedule {
    let tz = zone(tz);
    let rrule = accept_rrule(raw, tz).unwrap_or_else(|error| panic!("{raw}: {error}"));
    let exdates: Vec<String> = exdates.iter().map(|text| (*text).to_owned()).collect();
    Schedule::new(local(start), tz, Some(&rrule), Exdates::parse(&exdates, tz).unwrap(), on_gap).unwrap()
}

/// The next occurrences, each asked for with the one before; the same come when all are asked for at once.
pub(super) fn occurrences(schedule: &Schedule, after: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
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

pub(super) fn shown(instants: &[DateTime<Utc>]) -> Vec<String> {
    instants.iter().map(|at| at.format("%Y-%m-%d %H:%M").to_string()).collect()
}
