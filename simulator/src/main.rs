//! The simulator as a program: flags in, one line out when it is ready, a clean stop on a signal.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use simulator::Config;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A WhatsApp server and its phones, for development and tests.
#[derive(Parser)]
#[command(name = "switchboard-simulator", version)]
struct Flags {
    /// What to do; without a command it serves
    #[command(subcommand)]
    command: Option<Command>,

    /// Where to listen, for clients and for the admin API; port 0 takes any free port.
    #[arg(long, env = "SIMULATOR_LISTEN", default_value = "127.0.0.1:7700")]
    listen: SocketAddr,

    /// The file in which the world survives a restart; without it, it does not.
    #[arg(long, env = "SIMULATOR_WORLD")]
    world: Option<PathBuf>,

    /// How many QR references a client gets before it has to connect anew.
    #[arg(long, env = "SIMULATOR_QR_REFS", default_value_t = 6)]
    qr_refs: usize,
}

#[derive(Subcommand)]
enum Command {
    /// Ask the simulator that listens there whether it is up: exits with 0 or 1, for the health check of images
    Probe,
}

/// Asks the admin API on this machine for its health.
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
    let simulator = simulator::start(Config {
        listen: flags.listen,
        world: flags.world,
        qr_refs: flags.qr_refs,
        ..Config::default()
    })
    .await?;
    let mut out = std::io::stdout();
    writeln!(out, "simulator ready: clients at {}, admin API at {}", simulator.ws_url(), simulator.admin_url())?;
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    simulator.stop().await
}
