//! SQL of `workers`: one row per worker process. Its heartbeat protects its accounts from claims of others.

pub mod name;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::error::{Error, Result};
use crate::leases;
use domain::id::WorkerId;

/// What a worker registers when it starts.
#[derive(Debug, Clone, Copy)]
pub struct Boot<'a> {
    /// Its name: the same after a restart in its place.
    pub name: &'a str,
    /// Whether it holds the lock on its name ([`name::Name`]).
    pub holds_name: bool,
    /// The version of its code.
    pub version: &'a str,
    /// The release that it belongs to.
    pub release: &'a str,
    /// The highest number of accounts that it holds.
    pub capacity: i32,
    /// How long its leases last without a renewal. Its heartbeat counts for the same time.
    pub lease: Duration,
}

/// A worker that is alive and not about to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its id.
    pub id: WorkerId,
    /// Accounts held at its last heartbeat.
    pub held: i32,
    /// The highest number of accounts that it holds.
    pub capacity: i32,
    /// The release that it belongs to; empty for workers that did not report one.
    pub release: String,
    /// When it started, by the database's clock.
    pub started_at: DateTime<Utc>,
}

/// Writes the row of a new worker process. It may be called again if the answer was lost.
///
/// # Errors
/// If the database fails.
pub async fn register(pool: &PgPool, id: WorkerId, boot: Boot<'_>) -> Result<()> {
    sqlx::query!(
        "INSERT INTO workers (id, name, version, release, capacity, lease_s, holds_name) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (id) DO UPDATE SET last_seen = now() WHERE workers.stopped_at IS NULL",
        id.0,
        boot.name,
        boot.version,
        boot.release,
        boot.capacity,
        boot.lease.as_secs_f64(),
        boot.holds_name
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Writes a heartbeat with the number of held accounts.
///
/// # Errors
/// `NotFound` if the row is gone or says that this worker has stopped; otherwise if the database fails.
pub async fn heartbeat(pool: &PgPool, id: WorkerId, held: i32) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE workers SET last_seen = now(), held = $2 WHERE id = $1 AND stopped_at IS NULL",
        id.0,
        held
    )
    .execute(pool)
    .await?;
    if done.rows_affected() == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// The workers that are alive and not about to stop, in one snapshot. The rows are few and short, so this can be read
/// before each decision.
///
/// # Errors
/// If the database fails.
pub async fn live(pool: &PgPool) -> Result<Vec<Live>> {
    let rows = sqlx::query_as!(
        Live,
        r#"
        SELECT id AS "id: WorkerId", held, capacity, release, started_at
        FROM workers w
        WHERE is_alive(w) AND NOT leaving
        ORDER BY id
        "#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// Records that a worker is about to give back all its accounts. A transaction that sees one of the freed accounts also
/// sees this.
///
/// # Errors
/// If the database fails.
pub async fn leaving(pool: &PgPool, id: WorkerId) -> Result<()> {
    sqlx::query!("UPDATE workers SET leaving = true WHERE id = $1", id.0).execute(pool).await?;
    Ok(())
}

/// Records that a worker has closed every socket and stopped. Gives back all accounts that it still owns.
///
/// # Errors
/// If the database fails.
pub async fn stopped(pool: &PgPool, id: WorkerId) -> Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query!("UPDATE workers SET stopped_at = now() WHERE id = $1", id.0).execute(&mut *tx).await?;
    leases::own::give_back_all(&mut tx, id).await?;
    tx.commit().await?;
    Ok(())
}

/// The longest time between two heartbeats of a worker: a third of the lease's life. The longest lease counts, among
/// workers that were alive when any worker was last seen. Without workers it is five seconds.
///
/// # Errors
/// If the database fails.
pub async fn longest_heartbeat(db: &PgPool) -> Result<Duration> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT coalesce(max(lease_s), 15) / 3 AS "seconds!" FROM workers
           WHERE stopped_at IS NULL AND last_seen > (SELECT max(last_seen) FROM workers) - make_interval(secs => lease_s)"#
    );
    Ok(Duration::try_from_secs_f64(seconds.fetch_one(db).await?).unwrap_or_default())
}

/// Removes up to `limit` workers that have been silent for `age` and own no accounts. Returns how many.
///
/// # Errors
/// If the database fails.
pub async fn prune(db: &PgPool, age: Duration, limit: i64) -> Result<u64> {
    let removed = sqlx::query!(
        "DELETE FROM workers WHERE id IN (
             SELECT w.id FROM workers w
             WHERE w.last_seen < now() - make_interval(secs => $1)
               AND NOT EXISTS (SELECT FROM leases l WHERE l.owner = w.id)
             ORDER BY w.last_seen LIMIT $2)",
        age.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected())
}
