//! `switchboard-scheduler`: duties that the clock calls. Bad configuration exits with 64, anything else that ends it with 1.

use std::process::ExitCode;
use std::time::Duration;

use process::{config, ops, shutdown, telemetry};
use schedule::zone;
use scheduler::{Cli, Command, Config};

/// How long a graceful stop may take: a round of a duty is a short transaction.
const STOPPING: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return config::report("switchboard-scheduler", &error),
    };
    let done = match cli.command {
        Command::Schedule(config) => schedule(*config).await,
        Command::Probe { probe, ops } => probe.ask(ops.listen).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchboard-scheduler: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn schedule(config: Config) -> anyhow::Result<()> {
    let _telemetry = telemetry::init("switchboard-scheduler", &config.telemetry)?;
    zone::choose(config.zones.folder.as_deref());
    let stop = shutdown::on_signal(STOPPING)?;
    let listener = ops::listen(config.ops.listen, "OPS_LISTEN").await?;
    scheduler::run(config, listener, stop).await
}
