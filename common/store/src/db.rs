//! A step with a connection of its own, or within a transaction.

use sqlx::pool::MaybePoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};

use super::error::Result;

/// Where a step is carried out.
pub enum Db<'c> {
    /// With a connection of its own.
    Alone(&'c PgPool),
    /// On this connection: the step becomes a part of its transaction.
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
