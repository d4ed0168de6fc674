//! A worker as a process of its own, for tests that stop and continue one. It takes its settings from variables, as
//! `switchboard-worker` does, which a test of this package can't rely on to be built.

use anyhow::bail;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let worker::Command::Work(config) = worker::Cli::read(std::env::args_os())?.command else {
        bail!("it only works");
    };
    let _flushes_at_the_end = process::telemetry::init("switchboard-worker", &config.telemetry)?;
    let connector = worker::link::whatsapp::from_config(&config)?;
    let listener = TcpListener::bind(config.ops.listen).await?;
    worker::run(*config, connector, listener, CancellationToken::new()).await
}
