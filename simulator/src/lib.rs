//! A WhatsApp server and its phones, for development and tests: one port that real client libraries can pair
//! with and talk through, and an admin API to play the people and the faults.
//!
//! It knows the protocol and nothing of the programs it is used to test.

mod admin;
mod audit;
mod bundle;
mod clock;
mod config;
mod connection;
mod drop_sockets;
mod fault;
pub mod flags;
mod handshake;
mod keys;
mod noise;
mod pairing;
mod peer;
mod phone;
mod server;
mod socket;
mod stanza;
mod stats;
mod sync;
mod wire;
mod world;

pub use config::Config;
pub use server::{Simulator, start};
