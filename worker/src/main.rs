//! `switchboard-worker`: holds WhatsApp connections. Bad configuration exits with 64, anything else that ends it with 1.

use std::process::ExitCode;

use clap::Parser as _;
use common::{shutdown, telemetry};
use worker::Config;

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
            ExitCode::FAILURE
        }
    }
}

async fn start(config: Config) -> anyhow::Result<()> {
    let _telemetry = telemetry::init("switchboard-worker", &config.telemetry)?;
    #[cfg(feature = "simulator")]
    common::clock::skew(config.clock_skew_s);
    let stop = shutdown::in_two_steps(config.stop_timeout())?;
    let connector = worker::link::whatsapp::from_config(&config).await?;
    let listener = tokio::net::TcpListener::bind(config.listen).await?;
    worker::run(config, connector, listener, stop).await
}
