//! `switchboard-scheduler`: duties that the clock calls. Bad configuration exits with 64, anything else that ends it with 1.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use common::{shutdown, telemetry};
use scheduler::Config;

/// How long a graceful stop may take: a round of a duty is a short transaction.
const STOPPING: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> ExitCode {
    let config = match Config::try_parse() {
        Ok(config) => config,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    match start(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            eprintln!("switchboard-scheduler: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start(config: Config) -> anyhow::Result<()> {
    let _telemetry = telemetry::init("switchboard-scheduler", &config.telemetry)?;
    let stop = shutdown::on_signal(STOPPING)?;
    let listener = tokio::net::TcpListener::bind(config.listen).await?;
    scheduler::run(config, listener, stop).await
}
