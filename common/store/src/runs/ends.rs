//! Counts how runs end.

use domain::run::Status;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::RunEnd;

/// Counts runs that have ended or are paused. To be called after the commit.
pub(crate) fn ended(statuses: impl IntoIterator<Item = Status>) {
    for end in statuses.into_iter().filter_map(RunEnd::of) {
        metrics::RUNS_ENDED.of(end).inc();
    }
}
