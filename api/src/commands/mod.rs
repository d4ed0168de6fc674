//! What the binary does besides serving, a file each. They talk to the stores themselves and need no key: who has the
//! database's password may do all of it.

use std::io::Write;

use process::config::Database;
use process::trouble::postgres::{self, Place};
use store::audit::Operator;
use store::{PgPool, server};

use crate::config::Command;

mod accounts;
mod after_restore;
mod doctor;
mod events;
mod keys;
mod leases;
mod migrate;
mod openapi;
mod queues;
mod table;
mod tenants;
mod workers;

/// Who acts where a command does, for the audit trail.
const COMMAND: Operator = Operator::System("command");

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

/// A pool for one command, after a look that tells what is wrong.
async fn open(database: &Database) -> anyhow::Result<PgPool> {
    let options = store::options(&database.url)?;
    let place = Place::from(&options);
    let wrong = |error: sqlx::Error| postgres::of(&error, &place);
    let mut db = server::connect(&options).await.map_err(wrong)?;
    let schema = server::schema(&mut db).await.map_err(wrong)?;
    store::startup::schema_fits(&schema, &place)?;
    Ok(store::connect_lazily(&database.url, 2)?)
}

/// What a store's failure says, in one line.
fn plainly(error: store::Error, database: &Database) -> anyhow::Error {
    match (error, store::options(&database.url)) {
        (store::Error::Database(error), Ok(options)) => postgres::of(&error, &Place::from(&options)).into(),
        (error, _) => error.into(),
    }
}
