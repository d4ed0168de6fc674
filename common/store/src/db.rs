//! Lets a step run on a connection of its own, or within a transaction.

use sqlx::pool::MaybePoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};

use super::error::Result;

/// The connection of a step.
pub enum Db<'c> {
    /// The step acquires a connection from the pool.
    Alone(&'c PgPool),
    /// The step uses this connection, as part of its transaction.
    Within(&'c mut PgConnection),
}

impl<'c> From<&'c PgPool> for Db<'c> {
    fn from(pool: &'c PgPool) -> Self {
        Self::Alone(pool)
    }
}

impl<'c> From<&'c mut PgConnection> for Db<'c> {
    fn from(connection: &'c mut PgConnection) -> Self {
        Self::Within(connection)
    }
}

impl<'c> Db<'c> {
    pub(crate) async fn acquire(self) -> Result<MaybePoolConnection<'c, Postgres>> {
        Ok(match self {
            Self::Alone(pool) => pool.acquire().await?.into(),
            Self::Within(connection) => connection.into(),
        })
    }
}
