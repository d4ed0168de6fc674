//! Reads the configuration and starts what was asked for.

use std::process::ExitCode;
use std::time::Duration;

use api::config::{Cli, Command, Config};
use api::{Listeners, commands};
use common::ops;

/// What a wrong configuration exits with (`EX_USAGE`).
const BAD_CONFIG: u8 = 64;
/// A stop that takes longer is cut off.
const STOP_DEADLINE: Duration = Duration::from_secs(25);

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(BAD_CONFIG) } else { ExitCode::SUCCESS };
            return if error.print().is_ok() { code } else { ExitCode::FAILURE };
        }
    };
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchboard-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(config) => serve(*config).await,
        Command::Migrate { database } => commands::migrate(&database).await,
        Command::Keys { command } => commands::keys(command).await,
        Command::Openapi => commands::openapi(),
        Command::Probe { probe, ops } => probe.ask(ops.listen).await,
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let _flushes_at_the_end = common::telemetry::init("switchboard-api", &config.telemetry)?;
    let stop = common::shutdown::on_signal(STOP_DEADLINE)?;
    let tenants = ops::listen(config.listen, "API_LISTEN").await?;
    let ops = ops::listen(config.ops.listen, "OPS_LISTEN").await?;
    api::run(config, Listeners { tenants, ops }, stop).await
}
