//! Signs of life: what `/health` tells of workers, schedulers and sessions, and the heartbeat of a scheduler.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::error::Result;
use super::scope::ForAllTenants;

/// A scheduler that has been silent for longer does not live. Its heartbeat is a duty of its own, every five seconds.
const SCHEDULER_SILENT: Duration = Duration::from_secs(15);

/// What the rows say of the processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signs {
    /// Accounts that want to be online.
    pub wanted: i64,
    /// Those that are.
    pub connected: i64,
    /// Workers that live.
    pub workers: i64,
    /// The newest heartbeat of any worker.
    pub worker_seen: Option<DateTime<Utc>>,
    /// Schedulers that live.
    pub schedulers: i64,
    /// The newest heartbeat of any scheduler.
    pub scheduler_seen: Option<DateTime<Utc>>,
}

/// Reads the signs of life of all.
///
/// # Errors
/// When the database does not answer.
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

/// "This scheduler lives." Written again after whatever removed the row.
///
/// # Errors
/// When the database does not do it.
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

/// "This scheduler stops."
///
/// # Errors
/// When the database does not do it; then it counts as alive until it has been silent for long enough.
pub async fn scheduler_stops(db: &PgPool, id: Uuid) -> Result<()> {
    sqlx::query!("UPDATE schedulers SET last_seen = now(), stopped_at = now() WHERE id = $1", id).execute(db).await?;
    Ok(())
}

/// Removes up to `limit` schedulers that have been silent for `age`; answers how many.
///
/// # Errors
/// When the database does not do it.
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
