//! `switchboard-worker`: holds WhatsApp connections. Bad configuration exits with 64, credentials sealed under a key that
//! it was not given with 78, anything else that ends it with 1.

use std::process::ExitCode;

use process::{config, ops, shutdown, telemetry};
use schedule::zone;
use worker::keys::Misfit;
use worker::{Cli, Command, Config};

/// What keys that don't fit the database exit with (`EX_CONFIG`).
const BAD_KEYS: u8 = 78;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return config::report("switchboard-worker", &error),
    };
    let done = match cli.command {
        Command::Work(config) => work(*config).await.map(|()| true),
        Command::Keys { command } => worker::keys::run(command).await,
        Command::Doctor(doctor) => worker::doctor::run(doctor, &mut std::io::stdout()).await,
        Command::Probe { probe, ops } => probe.ask(ops.listen).await.map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("switchboard-worker: {error:#}");
            if error.is::<Misfit>() { ExitCode::from(BAD_KEYS) } else { ExitCode::FAILURE }
        }
    }
}

async fn work(config: Config) -> anyhow::Result<()> {
    let _telemetry = telemetry::init("switchboard-worker", &config.telemetry)?;
    zone::choose(config.zones.folder.as_deref());
    #[cfg(feature = "simulator")]
    process::clock::skew(config.clock_skew_s);
    let stop = shutdown::in_two_steps(config.stop_timeout())?;
    let connector = worker::link::whatsapp::from_config(&config)?;
    let listener = ops::listen(config.ops.listen, "OPS_LISTEN").await?;
    worker::run(config, connector, listener, stop).await
}
