//! Pure. The results of a search for occurrences, in the order of their instants. Near a change of clocks, this may
//! differ from the order of their wall-clock times.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, Utc};

use super::occurrence::{Following, Occurrence};
use super::steps::Steps;

/// The results of a search so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) want: usize,
    pub(super) occurrences: BTreeMap<DateTime<Utc>, Occurrence>,
    pub(super) skipped: Vec<(DateTime<Utc>, NaiveDateTime)>,
    pub(super) complete: bool,
}

impl Found {
    /// Adds an occurrence. Every occurrence found after it is later.
    pub(super) fn push(&mut self, occurrence: Occurrence) {
        self.push_shifted(occurrence);
        self.complete = self.occurrences.range(..=occurrence.at).count() >= self.want;
    }

    /// Adds an occurrence that was shifted. Occurrences found after it may be earlier.
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
