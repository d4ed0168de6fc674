//! A WhatsApp server and its phones, for development and tests. On one port, real client libraries can pair and
//! exchange messages, and an admin API controls the phones and the faults.
//!
//! It implements the protocol, and does not know the programs that it is used to test.

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
