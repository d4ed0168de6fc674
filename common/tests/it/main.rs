//! One test binary: a module per file of `src`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]
mod claims;
mod credentials;
mod doorbell;
mod due;
mod keys;
mod lease;
mod limiter;
mod lives;
mod locks;
mod measure;
mod metrics;
mod operate;
mod overlap;
mod redis_health;
mod reminder;
mod run;
mod runs;
mod seal;
mod server;
mod session;
mod store;
mod tidy;
mod waiting;
mod webhook_ends;
mod webhooks;
mod zone_data;
