//! One test binary: a module per file of `src`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]
mod duties;
mod duty;
mod health;
mod house;
mod keeping;
mod run;
mod settings;
mod startup;
