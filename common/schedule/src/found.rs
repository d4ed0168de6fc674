//! Pure. What a search for occurrences has found so far, in the order of instants: where clocks change, that is not always the order
//! of times on the wall.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, Utc};

use super::occurrence::{Following, Occurrence};
use super::steps::Steps;

/// What a search has found so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) want: usize,
    pub(super) occurrences: BTreeMap<DateTime<Utc>, Occurrence>,
    pub(super) skipped: Vec<(DateTime<Utc>, NaiveDateTime)>,
    pub(super) complete: bool,
}

impl Found {
    /// An occurrence behind which only later instants come.
    pub(super) fn push(&mut self, occurrence: Occurrence) {
        self.push_shifted(occurrence);
        self.complete = self.occurrences.range(..=occurrence.at).count() >= self.want;
    }

    /// An occurrence that was shifted: what comes after it may fire before it.
    pub(super) fn push_shifted(&mut self, occurrence: Occurrence) {
        self.occurrences.entry(occurrence.at).or_insert(occurrence);
    }

    pub(super) fn finish(self, steps: Steps) -> Following {
        let occurrences: Vec<_> = self.occurrences.into_values().take(self.want).collect();
        let last = occurrences.last().map(|last| last.at);
        let before_last = self.skipped.into_iter().filter(|(at, _)| last.is_none_or(|last| *at <= last));
        Following { occurrences, skipped: before_last.map(|(_, local)| local).collect(), steps: steps.taken() }
    }
}
