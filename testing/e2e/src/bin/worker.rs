//! A worker as a process of its own, for tests that stop and continue it with signals. It reads its settings from
//! variables, as `switchboard-worker` does. A test of this package can't rely on that binary being built.

use anyhow::bail;
use process::exit::Exit;
use process::{ops, program, telemetry};
use tokio_util::sync::CancellationToken;
use worker::config::NAME;

fn main() -> Exit {
    program::main(NAME, worker::Cli::read, async |cli| {
        let worker::Command::Work(config) = cli.command else { bail!("it only works") };
        let _flushes_at_the_end = telemetry::init(NAME, &config.telemetry)?;
        let connector = worker::link::whatsapp::from_config(&config)?;
        let listener = ops::listen(config.ops.listen, "OPS_LISTEN").await?;
        worker::run(*config, connector, listener, CancellationToken::new()).await.map(Exit::from)
    })
}
