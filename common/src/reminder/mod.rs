//! Pure. Reminders: what they repeat on, when they fire next, until what hour they may send, and how to say so.

use std::fmt;

use chrono::{Datelike as _, NaiveDate};

use crate::nearest::did_you_mean;

mod block;
pub mod catch_up;
mod dates;
pub mod exdates;
mod floating;
mod found;
pub mod life;
mod limits;
pub mod occurrence;
mod real_time;
pub mod rearm;
pub mod recurrence;
mod rule;
pub mod schedule;
mod shown;
pub mod spec;
mod start;
pub mod steps;
pub mod summary;
mod until;
mod weekday;
pub mod window;
mod words;
pub mod zone;

pub use catch_up::{Misfire, Overlap};
pub use rearm::Past;
pub use recurrence::{End, Kind, Recurrence};
pub use schedule::{OnGap, Schedule, Stored};
pub use shown::Shown;
pub use spec::{Accepted, Spec};
pub use start::Start;
pub use steps::STEPS_MAX;
pub use weekday::Weekday;
pub use window::{Edge, Window};

use crate::zone::Tz;

/// Why something of a reminder was not accepted; shown to the tenant as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Error {
    /// The field as it is written in a request, such as `recurrence.weekdays`.
    pub field: &'static str,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

impl Error {
    fn new(field: &'static str, message: impl fmt::Display) -> Self {
        Self { field, message: message.to_string() }
    }
}

/// How much of an unknown zone's name is shown again, in characters; the longest known has 32.
const ZONE_SHOWN: usize = 64;

/// Parses an IANA zone name such as `Europe/Berlin`.
///
/// # Errors
/// When the zone's name is not known; names of Windows zones are not.
pub fn timezone(name: &str) -> Result<Tz, Error> {
    name.parse().map_err(|_| {
        let name: String = name.chars().take(ZONE_SHOWN).collect();
        let known = crate::zone::data().names();
        let meant = did_you_mean(&name, known.iter().map(String::as_str));
        Error::new("timezone", format_args!("`{name}` is not a known IANA zone such as Europe/Berlin{meant}"))
    })
}

/// Dates that are computed with at all.
fn within_range(date: NaiveDate) -> bool {
    (1970..2200).contains(&date.year())
}
