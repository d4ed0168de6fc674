//! Pure. An occurrence of a reminder, and how a change of clocks affected it.

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
    /// When it fires.
    pub at: DateTime<Utc>,
    /// The wall-clock time that the rule names. Clocks may skip it.
    pub nominal: NaiveDateTime,
    /// How a change of clocks affected it, if it did.
    pub clocks: Option<Clocks>,
}

/// Occurrences in order, and the times among them that clocks skip.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Following {
    /// The occurrences.
    pub occurrences: Vec<Occurrence>,
    /// Skipped times up to the last of the occurrences that do not fire: [`OnGap::Skip`](super::schedule::OnGap::Skip)
    /// leaves them out, or the shift would move them past the end of their window.
    pub skipped: Vec<NaiveDateTime>,
    /// How many days, hours and occurrences were looked at; at most [`super::steps::STEPS_MAX`].
    pub steps: u32,
}
