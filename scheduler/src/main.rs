//! `switchboard-scheduler`: runs the duties that are due by the clock.

use std::time::Duration;

use process::exit::Exit;
use process::program;
use process::serving::{self, Told};
use process::shutdown::Stopping;
use scheduler::config::NAME;
use scheduler::{Cli, Command, Config};

/// How long a graceful stop may take. A round of a duty is a short transaction.
const STOPPING: Stopping = Stopping::Within(Duration::from_secs(15));

fn main() -> Exit {
    program::main(NAME, Cli::read, async |cli| match cli.command {
        Command::Schedule(config) => schedule(*config).await.map(Exit::from),
        Command::Probe { probe, ops } => probe.ask(ops.listen).await.map(Exit::from),
    })
}

async fn schedule(config: Config) -> anyhow::Result<()> {
    let (telemetry, zones, ops) = (&config.telemetry, &config.zones, config.ops.listen);
    let ground = serving::ground(NAME, Told { telemetry, zones, ops, stopping: STOPPING }).await?;
    scheduler::run(config, ground.ops, ground.stop.gently).await
}
