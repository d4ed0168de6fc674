//! The api on real Postgres and Redis, through its own HTTP: a module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, unreachable_pub, reason = "tests")]

mod accounts;
mod audit;
mod auth;
mod bad_reminders;
mod batches;
mod commands;
mod doors;
mod editing;
mod groups;
mod health;
mod inputs;
mod isolation;
mod messages;
mod metrics;
mod once;
mod openapi;
mod pairing;
mod preview;
mod probe;
mod problems;
mod reminders;
mod requests;
mod runs;
mod settings;
mod sse;
mod test_api;
mod webhooks;
