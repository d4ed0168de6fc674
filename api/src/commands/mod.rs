//! What the binary does besides serving, a file each. They talk to the stores themselves and need no key: who has the
//! database's password may do all of it.

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

/// Does what was asked for. `Ok(false)`: it was done, and all is not well.
///
/// # Errors
/// In one line: what is wrong, and what to do.
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
