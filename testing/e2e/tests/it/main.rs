//! The whole cluster against the simulator: real api, workers and schedulers, real Postgres and Redis, and the real
//! client library over real sockets.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod configuration;
mod crashes;
mod durability;
mod flapping;
mod frozen;
mod guard;
mod hand_over;
mod help;
mod keys;
mod lifecycle;
mod logs;
mod lost;
mod main_job;
mod metrics;
mod outage;
mod passkey;
mod placement;
mod receiver;
mod reminders;
mod restore;
mod stale;
mod startup;
mod takeover;
mod traces;
mod webhooks;
