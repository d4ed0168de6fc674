//! The command for operators after Postgres was restored from a backup.

use std::io::Write;

use process::config::Database;
use store::era;

use super::postgres::{open, plainly};

/// Brings the schema up to date and begins a new era of events. So no position that a client holds is given out again.
pub(super) async fn run(database: &Database, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    store::migrate(&database.url).await.map_err(|error| plainly(error, database))?;
    let store = open(database).await?;
    let starts = era::begin(store.pool()).await.map_err(|error| plainly(error, database))?;
    writeln!(out, "a new era of events begins at {starts}: everything may start")?;
    Ok(())
}
