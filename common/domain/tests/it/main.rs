//! One test binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]
mod accounts;
mod charts;
mod lives;
mod run;
