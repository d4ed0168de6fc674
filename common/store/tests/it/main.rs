//! One test binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]
mod announced;
mod beside;
mod catalogue;
mod claims;
mod conflict;
mod credentials;
mod due;
mod era;
mod events;
mod idempotency;
mod keys;
mod locks;
mod measure;
mod operate;
mod overlap;
mod runs;
mod seal;
mod server;
mod session;
mod signs;
mod store;
mod unsent;
mod waiting;
mod webhook_ends;
mod webhooks;
mod zone_data;
