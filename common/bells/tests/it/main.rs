//! One test binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]
mod doorbell;
mod lease;
mod limiter;
mod redis_health;
