//! SQL of `workers`: one row per boot of a worker; its heartbeat keeps its accounts from being claimed by others.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{Error, Result};
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
    sqlx::query!("UPDATE leases SET owner = NULL, released_at = now() WHERE owner = $1", id.0)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}
