//! What api, worker and scheduler share. Three bands, in reading order; a band imports only from those above it.

// ground: no domain, no network
pub mod clock;
pub mod config;
pub mod host;
pub mod id;
pub mod jid;
pub mod nearest;
pub mod phone;
pub mod seal;
pub mod shutdown;
pub mod visible;
pub mod zone;

// domain: pure rules, no I/O
pub mod account;
pub mod conflict;
pub mod event;
pub mod job;
pub mod message;
pub mod redis_keys;
pub mod reminder;
pub mod run;
pub mod webhook;

// doors: everything that talks to the outside
pub mod bus;
pub mod doctor;
pub mod door;
pub mod doorbell;
pub mod lease;
pub mod limiter;
pub mod ops;
pub mod probe;
pub mod redis_health;
pub mod startup;
pub mod store;
pub mod telemetry;
pub mod trouble;

#[cfg(feature = "testing")]
pub mod testing;
