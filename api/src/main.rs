//! Reads the configuration and starts what was asked for. Bad configuration exits with 64, anything else that ends it with 1.

use std::process::ExitCode;
use std::time::Duration;

use api::config::{Cli, Command, Config};
use api::{Listeners, commands};
use process::{config, ops};

/// A stop that takes longer is cut off.
const STOP_DEADLINE: Duration = Duration::from_secs(25);

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return config::report("switchboard-api", &error),
    };
    match start(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("switchboard-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start(cli: Cli) -> anyhow::Result<bool> {
    match cli.command {
        Command::Serve(config) => serve(*config).await.map(|()| true),
        Command::Probe { probe, ops } => probe.ask(ops.listen).await.map(|()| true),
        command => commands::run(command, &mut std::io::stdout()).await,
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let _flushes_at_the_end = process::telemetry::init("switchboard-api", &config.telemetry)?;
    schedule::zone::choose(config.zones.folder.as_deref());
    let stop = process::shutdown::on_signal(STOP_DEADLINE)?;
    let tenants = ops::listen(config.listen, "API_LISTEN").await?;
    let ops = ops::listen(config.ops.listen, "OPS_LISTEN").await?;
    api::run(config, Listeners { tenants, ops }, stop).await
}
