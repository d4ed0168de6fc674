//! The simulator as a program: flags in, one line out when it is ready, a clean stop on a signal.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use simulator::Config;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A WhatsApp server and its phones, for development and tests.
#[derive(Parser)]
#[command(name = "switchboard-simulator", version)]
struct Flags {
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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
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
