//! The lock on a worker's name. A worker that starts again in its place (the same pod, container or service) has the
//! name of its former boot. It gets the lock when the process of that boot is dead, because the lock ends with the
//! connection that holds it, and the connection with the process. So it may give back at once what that boot owned.
//!
//! A connection may also break by itself. So a name must belong to one worker: two that share one could take from each
//! other in the seconds until the first has its lock again. Even then the fence holds.

use domain::id::WorkerId;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};

use crate::error::Result;
use crate::leases;
use crate::scope::ForAllTenants;

/// Settings of the connection that holds a lock: if its host vanishes, Postgres notices that within about 11 seconds.
const WATCHED: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 11000";

/// A lock on a name. It is held until this value is dropped, the process dies, or the connection breaks.
#[derive(Debug)]
pub struct Name(PgConnection);

impl Name {
    /// Takes the lock on `name`, on a new connection to the database of `db`. `None`: another process holds it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn take(db: &PgPool, name: &str) -> Result<Option<Self>> {
        let mut connection = PgConnection::connect_with(&db.connect_options()).await?;
        connection.execute(WATCHED).await?;
        let taken = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_lock(hashtextextended('worker ' || $1, 0)) AS "taken!""#,
            name
        );
        let taken = taken.fetch_one(&mut connection).await?;
        Ok(taken.then_some(Self(connection)))
    }

    /// Checks that the lock is still held.
    ///
    /// # Errors
    /// If the connection is broken. Then the lock is lost.
    pub async fn check(&mut self) -> Result<()> {
        Ok(self.0.ping().await?)
    }
}

/// Writes into a worker's row whether it holds the lock on its name.
///
/// # Errors
/// If the database fails.
pub async fn is_held(db: &PgPool, worker: WorkerId, holds: bool) -> Result<()> {
    sqlx::query!("UPDATE workers SET holds_name = $2 WHERE id = $1", worker.0, holds).execute(db).await?;
    Ok(())
}

/// Gives back all accounts of earlier boots under this name, as those boots would have done had they stopped in order.
/// Only for the holder of the lock: they are dead, so their sockets are closed. Returns the boots whose leases in Redis
/// may not have run out yet, and how many accounts were given back.
///
/// # Errors
/// If the database fails.
pub async fn give_back_of_former(all: ForAllTenants<'_>, worker: WorkerId, name: &str) -> Result<(Vec<WorkerId>, u64)> {
    let mut transaction = all.pool.begin().await?;
    let dead = sqlx::query_scalar!(
        r#"UPDATE workers SET stopped_at = now()
           WHERE name = $1 AND holds_name AND stopped_at IS NULL AND id <> $2 RETURNING id AS "id: WorkerId""#,
        name,
        worker.0
    );
    let mut freed = 0;
    for boot in dead.fetch_all(&mut *transaction).await? {
        freed += leases::own::give_back_all(&mut transaction, boot).await?;
    }
    // also those of which an earlier heir told Postgres and then died
    let former = sqlx::query_scalar!(
        r#"SELECT id AS "id: WorkerId" FROM workers
           WHERE name = $1 AND holds_name AND id <> $2 AND last_seen > now() - 2 * make_interval(secs => lease_s)
           ORDER BY last_seen DESC LIMIT 100"#,
        name,
        worker.0
    );
    let former = former.fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    Ok((former, freed))
}
