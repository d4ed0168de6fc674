//! `switchboard-api`: serves tenants, or runs one command.

use std::time::Duration;

use api::config::{Cli, Command, Config, NAME};
use api::{Listeners, commands};
use process::exit::Exit;
use process::serving::{self, Told};
use process::shutdown::Stopping;
use process::{ops, program};

/// The time limit for a stop.
const STOPPING: Stopping = Stopping::Within(Duration::from_secs(25));

fn main() -> Exit {
    program::main(NAME, Cli::read, async |cli| match cli.command {
        Command::Serve(config) => serve(*config).await.map(Exit::from),
        Command::Probe { probe, ops } => probe.ask(ops.listen).await.map(Exit::from),
        command => commands::run(command, &mut std::io::stdout()).await.map(Exit::from),
    })
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let (telemetry, zones, ops) = (&config.telemetry, &config.zones, config.ops.listen);
    let ground = serving::ground(NAME, Told { telemetry, zones, ops, stopping: STOPPING }).await?;
    let tenants = ops::listen(config.listen, "API_LISTEN").await?;
    api::run(config, Listeners { tenants, ops: ground.ops }, ground.stop.gently).await
}
