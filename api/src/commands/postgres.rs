//! What the commands share: the rows in Postgres, errors in one line, and the operator for the audit trail.

use process::config::Database;
use process::trouble::postgres::{self, Place};
use store::audit::Operator;
use store::{Store, server};

/// The operator of changes by commands, for the audit trail.
pub(super) const COMMAND: Operator = Operator::System("command");

/// Opens the rows for one command, after a check that reports problems clearly.
pub(super) async fn open(database: &Database) -> anyhow::Result<Store> {
    let options = store::options(&database.url)?;
    let place = Place::from(&options);
    let wrong = |error: sqlx::Error| postgres::of(&error, &place);
    let mut db = server::connect(&options).await.map_err(wrong)?;
    let schema = server::schema(&mut db).await.map_err(wrong)?;
    store::startup::schema_fits(&schema, &place)?;
    Ok(store::connect_lazily(&database.url, 2)?.into())
}

/// The error of a store call, in one line.
pub(super) fn plainly(error: store::Error, database: &Database) -> anyhow::Error {
    match (error, store::options(&database.url)) {
        (store::Error::Database(error), Ok(options)) => postgres::of(&error, &Place::from(&options)).into(),
        (error, _) => error.into(),
    }
}
