//! Sessions: one per account that this worker holds, and what holds them.
//!
//! `machine` decides, `actor` carries out; `supervisor` starts and ends actors, `keeper` keeps the right to have them.

pub mod action;
pub mod actor;
pub mod balance;
pub mod board;
mod close;
pub mod figures;
pub mod fleet;
pub mod hand_over;
pub mod in_flight;
pub mod inbound;
pub mod keeper;
pub mod machine;
pub mod outbox;
mod passkey;
pub mod perform;
pub mod placement;
pub mod restart;
mod sending;
pub mod state;
pub mod stop;
pub mod supervisor;
pub mod trust;
