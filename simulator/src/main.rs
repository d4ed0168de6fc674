//! The simulator as a program: it prints one line when it is ready, and stops cleanly on a signal.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use simulator::flags::{Command, Flags};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Checks the health of the simulator through its admin API.
fn probe(mut at: SocketAddr) -> anyhow::Result<()> {
    if at.ip().is_unspecified() {
        at.set_ip(if at.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    let limit = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&at, limit).with_context(|| format!("nobody listens at {at}"))?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET /admin/health HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.lines().next().unwrap_or_default();
    anyhow::ensure!(status.starts_with("HTTP/1.1 200 "), "{at} answered {status:?}");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    if let Some(Command::Probe) = flags.command {
        return probe(flags.listen);
    }
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")))
        .with_writer(std::io::stderr)
        .init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let simulator = simulator::start(flags.into()).await?;
    let mut out = std::io::stdout();
    writeln!(out, "simulator ready: clients at {}, admin API at {}", simulator.ws_url(), simulator.admin_url())?;
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    simulator.stop().await
}
