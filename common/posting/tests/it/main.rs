//! One test binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]
mod house;
mod http;
mod moving;
mod straight;
mod turns;
