//! Metrics: `page.rs` declares each one, and the other files turn it into what Prometheus reads.

pub mod failure;
mod family;
pub mod label;
pub mod labels;
mod occupancy;
mod openmetrics;
mod page;
pub mod sample;
mod scrape;
pub mod table;
mod version;

pub use family::{About, Counter, Exemplar, Gauge, Histogram, Metric, OneMore, Series, current_trace, epoch_seconds};
pub use label::Component;
pub use occupancy::Held;
#[allow(clippy::wildcard_imports, reason = "one name for each metric")]
pub use page::*;
pub use sample::{Watching, watch};
pub use scrape::{Format, Hook, at_scrape, render, start};
pub use version::{REVISION, VERSION};
