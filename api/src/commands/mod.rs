//! The commands of the binary besides serving, with a file each. They access the stores directly and need no API key:
//! the database's password permits all of them.

use std::io::Write;

use crate::config::Command;

mod accounts;
mod after_restore;
mod doctor;
mod events;
mod keys;
mod leases;
mod migrate;
mod openapi;
mod postgres;
mod queues;
mod table;
mod tenants;
mod workers;

/// Runs a command. `Ok(false)` means that it ran and found something wrong.
///
/// # Errors
/// One line that says what is wrong and what to do.
pub async fn run(command: Command, out: &mut (dyn Write + Send)) -> anyhow::Result<bool> {
    match command {
        Command::Serve(_) | Command::Probe { .. } => anyhow::bail!("this is no command of the stores"),
        Command::Migrate(migrate) => migrate::run(migrate, out).await?,
        Command::AfterRestore { database } => after_restore::run(&database, out).await?,
        Command::Doctor(stores) => return doctor::run(stores, out).await,
        Command::Keys { command } => keys::run(command, out).await?,
        Command::Tenants { command } => tenants::run(command, out).await?,
        Command::Accounts { command } => accounts::run(command, out).await?,
        Command::Leases { command } => leases::run(command, out).await?,
        Command::Workers { command } => workers::run(command, out).await?,
        Command::Queues(queues) => queues::run(queues, out).await?,
        Command::Events { command } => events::run(command, out).await?,
        Command::Openapi => openapi::run(out)?,
    }
    Ok(true)
}
