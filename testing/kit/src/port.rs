//! Ports for servers that a test starts.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// These are below the ports that Linux uses for outgoing connections. Such a connection could take a port that was
/// free a moment ago before its server starts, and a campaign makes thousands of them.
const PORTS: Range<u16> = 10_000..32_000;

/// A free port of the loopback interface.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    let mut tries = (0..1_000).map(|_| rand::random_range(PORTS));
    let free = tries.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.unwrap_or_else(|| panic!("no free port"))
}
