//! `switchboard-worker`: holds WhatsApp connections.

use process::exit::Exit;
use process::program;
use process::serving::{self, Told};
use process::shutdown::Stopping;
use worker::config::NAME;
use worker::keys::Misfit;
use worker::{Cli, Command, Config};

fn main() -> Exit {
    program::main(NAME, Cli::read, async |cli| match cli.command {
        Command::Work(config) => work(*config).await.map(Exit::from).map_err(with_its_code),
        Command::Keys { command } => worker::keys::run(command).await.map(Exit::from),
        Command::Doctor(doctor) => worker::doctor::run(doctor, &mut std::io::stdout()).await.map(Exit::from),
        Command::Probe { probe, ops } => probe.ask(ops.listen).await.map(Exit::from),
    })
}

fn with_its_code(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Misfit>() { Exit::BadKeys.because(error) } else { error }
}

async fn work(config: Config) -> anyhow::Result<()> {
    let (telemetry, zones, ops) = (&config.telemetry, &config.zones, config.ops.listen);
    let stopping = Stopping::InTwoSteps(config.stop_timeout());
    let ground = serving::ground(NAME, Told { telemetry, zones, ops, stopping }).await?;
    #[cfg(feature = "simulator")]
    process::clock::skew(config.clock_skew_s);
    let connector = worker::link::whatsapp::from_config(&config)?;
    worker::run(config, connector, ground.ops, ground.stop).await
}
