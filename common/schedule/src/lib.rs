//! When a reminder fires: recurrences (RFC 5545), zones and their gaps, exceptions, windows, and summaries in words.
//!
//! Nothing here reads a clock or a store. Zone data is built in, or comes from a folder that the deployment provides.

mod block;
mod dates;
mod error;
pub mod exdates;
mod floating;
mod found;
mod limits;
pub mod nearest;
pub mod occurrence;
mod range;
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
mod timezone;
mod until;
pub mod wall_clock;
mod weekday;
pub mod window;
mod words;
pub mod zone;

pub use error::Error;
pub use rearm::Past;
pub use recurrence::{End, Kind, Recurrence};
pub use schedule::{OnGap, Schedule, Stored};
pub use shown::Shown;
pub use spec::{Accepted, Spec};
pub use start::Start;
pub use steps::STEPS_MAX;
pub use timezone::timezone;
pub use weekday::Weekday;
pub use window::{Edge, Window};
