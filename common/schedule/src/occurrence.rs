//! Pure. When a reminder fires, and what clocks did to the time.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Serialize;

/// What clocks did to an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Clocks {
    /// They skip its time: it fires later by the gap.
    Shifted,
    /// They show its time twice: it fires the first time.
    FirstOfTwo,
    /// They show its time twice, and this is the second: of HOURLY and MINUTELY rules only.
    SecondOfTwo,
}

/// One firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// When.
    pub at: DateTime<Utc>,
    /// The time on the wall that the rule names; clocks may skip it.
    pub nominal: NaiveDateTime,
    /// What clocks did to it, if anything.
    pub clocks: Option<Clocks>,
}

/// Occurrences in order, and what clocks left out among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Following {
    /// The occurrences.
    pub occurrences: Vec<Occurrence>,
    /// Times that clocks skip and that do not fire, before the last of the occurrences: [`OnGap::Skip`](super::schedule::OnGap::Skip) leaves them out, or they would be
    /// shifted behind the end of their window.
    pub skipped: Vec<NaiveDateTime>,
    /// Days, hours and occurrences that were looked at; at most [`super::steps::STEPS_MAX`].
    pub steps: u32,
}
