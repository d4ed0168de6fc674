//! The command line of the simulator.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::Config;

/// A WhatsApp server and its phones, for development and tests.
#[derive(Debug, Parser)]
#[command(name = "switchboard-simulator", version)]
pub struct Flags {
    /// What to do; without a command it serves
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Where to listen, for clients and for the admin API; port 0 takes any free port.
    #[arg(long, env = "SIMULATOR_LISTEN", default_value = "127.0.0.1:7700")]
    pub listen: SocketAddr,

    /// The file in which the world survives a restart; without it, it does not.
    #[arg(long, env = "SIMULATOR_WORLD")]
    pub world: Option<PathBuf>,

    /// How many QR references a client gets before it has to connect anew.
    #[arg(long, env = "SIMULATOR_QR_REFS", default_value_t = 6)]
    pub qr_refs: usize,
}

/// What to do besides serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask the simulator that listens there whether it is up: exits with 0 or 1, for the health check of images
    Probe,
}

impl From<Flags> for Config {
    fn from(flags: Flags) -> Self {
        Self { listen: flags.listen, world: flags.world, qr_refs: flags.qr_refs, ..Self::default() }
    }
}
