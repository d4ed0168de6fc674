//! A minimal program that starts and ends like the binaries. Tests start it to check that.

use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use process::config::{Telemetry, Zones};
use process::exit::Exit;
use process::program;
use process::serving::{self, Serving, Told};
use process::shutdown::Stopping;
use process::telemetry::metrics::Component;

/// What it is told.
#[derive(clap::Parser)]
#[command(name = "switchboard-test")]
struct Cli {
    /// Where it serves health
    #[arg(long, env = "OPS_LISTEN", default_value = "127.0.0.1:0")]
    ops: std::net::SocketAddr,
    /// How it goes on when it is told to stop
    #[arg(long, default_value = "ends", value_parser = ["ends", "hangs", "fails"])]
    then: String,
    #[command(flatten)]
    telemetry: Telemetry,
}

async fn serve(cli: Cli) -> anyhow::Result<Exit> {
    let two_steps = Stopping::InTwoSteps(Duration::from_secs(30));
    let stopping = if cli.then == "hangs" { Stopping::Within(Duration::from_millis(300)) } else { two_steps };
    let told = Told { telemetry: &cli.telemetry, zones: &Zones::default(), ops: cli.ops, stopping };
    let ground = serving::ground("switchboard-test", told).await?;
    let stop = ground.stop.gently;
    let (mut serving, startup) = Serving::begin(Component::Scheduler, ground.ops, &stop);
    startup.up(Arc::new(|| Box::pin(async { Ok(()) })));
    serving.beside(std::future::pending());
    tracing::warn!("it stands"); // a warning, because other crates, such as this one, log nothing below that level
    stop.cancelled().await;
    match cli.then.as_str() {
        "hangs" => std::future::pending().await,
        "fails" => Err(Exit::BadKeys.because(anyhow::anyhow!("keys").context("it broke"))),
        _ => Ok(().into()),
    }
}

fn main() -> Exit {
    program::main("switchboard-test", Cli::try_parse_from, serve)
}
