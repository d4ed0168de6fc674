//! Reads the configuration and starts what was asked for.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use api::commands;
use api::config::{Cli, Command, Config};

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
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let _flushes_at_the_end = common::telemetry::init("switchboard-api", &config.telemetry)?;
    let stop = common::shutdown::on_signal(STOP_DEADLINE)?;
    let listener = tokio::net::TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("can't listen on {}", config.listen))?;
    api::run(config, listener, stop).await
}
