//! A session: the live connection of one account that this worker holds.
//!
//! `machine` decides and `actor` carries out. `fleet` decides which accounts this worker holds.

pub mod actor;
pub mod answer;
pub mod backlog;
mod connection;
mod facts;
pub mod figures;
pub mod in_flight;
pub mod inbound;
mod look;
pub mod machine;
mod mail;
pub mod outbox;
mod passkey;
mod pause;
pub mod perform;
mod sending;
