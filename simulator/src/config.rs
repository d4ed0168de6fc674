//! The settings of the simulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes any free port.
    pub listen: SocketAddr,
    /// The file in which the world survives a restart. Without one, the world is kept in memory only.
    pub world: Option<PathBuf>,
    /// The number of QR references that a client gets for pairing.
    pub qr_refs: usize,
    /// How often a changed world is written.
    pub save_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            world: None,
            qr_refs: 6,
            save_every: Duration::from_secs(5),
        }
    }
}
