//! SQL of `workers`: one row per boot of a worker; its heartbeat keeps its accounts from being claimed by others.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::error::{Error, Result};
use super::leases;
use domain::id::WorkerId;

/// What a worker says of itself when it starts.
#[derive(Debug, Clone, Copy)]
pub struct Boot<'a> {
    /// Its host's name, for people.
    pub name: &'a str,
    /// The version of its code.
    pub version: &'a str,
    /// The release that it was rolled out with.
    pub release: &'a str,
    /// Accounts that it holds at most.
    pub capacity: i32,
    /// How long its leases live without a renewal; its heartbeat counts for as long.
    pub lease: Duration,
}

/// A worker that is alive and stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its boot.
    pub id: WorkerId,
    /// Accounts held at its last heartbeat.
    pub held: i32,
    /// Accounts that it holds at most.
    pub capacity: i32,
    /// The release that it was rolled out with; empty for workers that did not say.
    pub release: String,
    /// When it started, by the database's clock.
    pub started_at: DateTime<Utc>,
}

/// Writes the row of a new boot. May be called again when the answer was lost.
///
/// # Errors
/// When the database fails.
pub async fn register(pool: &PgPool, id: WorkerId, boot: Boot<'_>) -> Result<()> {
    sqlx::query!(
        "INSERT INTO workers (id, name, version, release, capacity, lease_s) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET last_seen = now() WHERE workers.stopped_at IS NULL",
        id.0,
        boot.name,
        boot.version,
        boot.release,
        boot.capacity,
        boot.lease.as_secs_f64()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// "I am alive and hold so many accounts."
///
/// # Errors
/// `NotFound` when the row is gone or says that this worker has stopped; else when the database fails.
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

/// The workers that are alive and stay, in one snapshot: some fifty short rows, cheap enough to ask before each decision.
///
/// # Errors
/// When the database fails.
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

/// "I am about to give everything back": whoever sees an account that this worker has freed sees this, too.
///
/// # Errors
/// When the database fails.
pub async fn leaving(pool: &PgPool, id: WorkerId) -> Result<()> {
    sqlx::query!("UPDATE workers SET leaving = true WHERE id = $1", id.0).execute(pool).await?;
    Ok(())
}

/// "I have closed every socket and go": whatever it still owns may be claimed at once.
///
/// # Errors
/// When the database fails.
pub async fn stopped(pool: &PgPool, id: WorkerId) -> Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query!("UPDATE workers SET stopped_at = now() WHERE id = $1", id.0).execute(&mut *tx).await?;
    leases::own::give_back_all(&mut tx, id).await?;
    tx.commit().await?;
    Ok(())
}

/// How long a worker may take from one heartbeat to the next: a third of its lease's life, of the worker with the longest among
/// those that lived when any was last seen; without any worker the usual five seconds.
///
/// # Errors
/// When the database does not answer.
pub async fn longest_heartbeat(db: &PgPool) -> Result<Duration> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT coalesce(max(lease_s), 15) / 3 AS "seconds!" FROM workers
           WHERE stopped_at IS NULL AND last_seen > (SELECT max(last_seen) FROM workers) - make_interval(secs => lease_s)"#
    );
    Ok(Duration::try_from_secs_f64(seconds.fetch_one(db).await?).unwrap_or_default())
}

/// Removes up to `limit` workers that have been silent for `age` and own nothing; answers how many.
///
/// # Errors
/// When the database does not do it.
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
