//! A whole Switchboard in one process, for end-to-end tests. Each part runs as its binary runs it, with a database, a
//! Redis prefix, a simulator and ports of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "test support: a failure is a panic"
)]

mod cluster;
mod in_process;

pub use cluster::{Cluster, Lines};
pub use in_process::{EVERYTHING, InProcess, LINES, Part};
