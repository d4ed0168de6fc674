//! Signs of life: what `/health` reports about workers, schedulers and sessions, and the heartbeat of a scheduler.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::error::Result;
use super::scope::ForAllTenants;

/// A scheduler that has been silent for longer does not count as live. Its heartbeat is a duty of its own, every five
/// seconds.
const SCHEDULER_SILENT: Duration = Duration::from_secs(15);

/// What the database knows about the processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signs {
    /// The number of accounts that should be online.
    pub wanted: i64,
    /// The number of those that are connected.
    pub connected: i64,
    /// The number of live workers.
    pub workers: i64,
    /// The latest heartbeat of any worker.
    pub worker_seen: Option<DateTime<Utc>>,
    /// The number of live schedulers.
    pub schedulers: i64,
    /// The latest heartbeat of any scheduler.
    pub scheduler_seen: Option<DateTime<Utc>>,
}

/// Reads the signs of life of all processes, and counts the accounts of all tenants.
///
/// # Errors
/// If the database fails.
pub async fn read(all: ForAllTenants<'_>) -> Result<Signs> {
    let ForAllTenants { pool: db } = all;
    let signs = sqlx::query_as!(
        Signs,
        r#"
        SELECT a.wanted AS "wanted!", a.connected AS "connected!", w.live AS "workers!", w.seen AS worker_seen,
            s.live AS "schedulers!", s.seen AS scheduler_seen
        FROM (SELECT count(*) AS wanted, count(*) FILTER (WHERE s.status = 'connected') AS connected
              FROM accounts a JOIN account_states s ON s.id = a.id WHERE a.wanted = 'online') a,
            (SELECT count(*) FILTER (WHERE is_alive(w)) AS live, max(last_seen) AS seen FROM workers w) w,
            (SELECT count(*) FILTER (WHERE stopped_at IS NULL AND last_seen > now() - make_interval(secs => $1)) AS live,
                max(last_seen) AS seen FROM schedulers) s
        "#,
        SCHEDULER_SILENT.as_secs_f64()
    )
    .fetch_one(db)
    .await?;
    Ok(signs)
}

/// Records that a scheduler is alive. Creates its row again if that was removed.
///
/// # Errors
/// If the database fails.
pub async fn scheduler_lives(db: &PgPool, id: Uuid, name: &str, version: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO schedulers (id, name, version) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET last_seen = now(), stopped_at = NULL",
        id,
        name,
        version
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Records that a scheduler has stopped.
///
/// # Errors
/// If the database fails. Then the scheduler counts as live until its heartbeat is too old.
pub async fn scheduler_stops(db: &PgPool, id: Uuid) -> Result<()> {
    sqlx::query!("UPDATE schedulers SET last_seen = now(), stopped_at = now() WHERE id = $1", id).execute(db).await?;
    Ok(())
}

/// Removes up to `limit` schedulers that have been silent for `age`. Returns how many.
///
/// # Errors
/// If the database fails.
pub async fn prune_schedulers(db: &PgPool, age: Duration, limit: i64) -> Result<u64> {
    let removed = sqlx::query!(
        "DELETE FROM schedulers WHERE id IN (
             SELECT id FROM schedulers WHERE last_seen < now() - make_interval(secs => $1) ORDER BY last_seen LIMIT $2)",
        age.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected())
}
