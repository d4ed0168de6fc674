//! The simulator against the real client library.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod client;
mod cluster;
mod faults;
mod groups;
mod messages;
mod pairing;
mod probe;
mod sessions;
mod simulation;
