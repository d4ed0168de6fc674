//! Measurements of the whole cluster by the schedulers, and checks of Postgres's clock and schema by each process. It
//! crosses tenants and returns figures, never rows.
//!
//! Each scheduler measures every ten seconds, so that long tables are read only in bounded parts. With 10,000 accounts
//! and a million messages a measurement costs Postgres about 30 ms, and about 70 ms if messages wait at all accounts.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::error::Result;
use super::migrate::MIGRATOR;
use super::scope::ForAllTenants;
use process::clock::{self, BootTime};

/// A worker that has been silent for longer is no longer counted.
const SILENT: Duration = Duration::from_secs(600);
/// The highest number of waiting messages that are counted.
const MESSAGES: i64 = 20_000;
/// The highest number of accounts whose first waiting message is read.
const ACCOUNTS: i64 = 2_500;
/// The highest number of runs, and of reminders, that are counted.
const RUNS: i64 = 10_000;
/// The highest number of deliveries that are counted: of one webhook, and in total.
const DELIVERIES: (i64, i64) = (1_000, 20_000);

/// One figure of the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name: `accounts`, `wanted`, `unowned`, `waiting`, `workers`, `capacity`, `webhooks` or `tenants`.
    pub what: String,
    /// The kind, if there are several.
    pub kind: String,
    /// The reason, if there are several.
    pub reason: String,
    /// The number.
    pub count: f64,
    /// For `waiting`: how long the oldest has waited, in seconds. For `wanted`: how many of them are online.
    pub more: f64,
}

/// Measures the cluster in one round trip. A missing row means 0.
///
/// # Errors
/// If the database fails.
pub async fn cluster(all: ForAllTenants<'_>) -> Result<Vec<Figure>> {
    let ForAllTenants { pool: db } = all;
    let figures = sqlx::query_as!(
        Figure,
        r#"
        WITH RECURSIVE
        live AS MATERIALIZED (
            SELECT id, capacity, leaving FROM workers w WHERE is_alive(w)),
        a AS MATERIALIZED (
            SELECT a.id, a.status, a.wanted, a.updated_at, a.groups_wanted_at, l.owner IS NOT NULL AS owned, w.id IS NOT NULL AS alive,
                a.wanted = 'online' AND a.jid IS NULL AND p.window_ends_at > now() AND p.qr_text IS NULL AND p.code IS NULL
                    AS unshown,
                CASE WHEN a.wanted <> 'online' OR a.status NOT IN ('connected', 'disconnected', 'banned') THEN 'unlinked'
                     WHEN a.status = 'banned' OR a.banned_until > now() THEN 'banned'
                     WHEN a.held_until > now() THEN 'held'
                     WHEN w.id IS NULL THEN 'unowned'
                     WHEN a.status <> 'connected' THEN 'offline'
                     ELSE 'ready' END AS reason
            FROM accounts a LEFT JOIN leases l ON l.account_id = a.id LEFT JOIN live w ON w.id = l.owner
            LEFT JOIN pairings p ON p.account_id = a.id),
        -- steps from account to account in the index: those without a waiting message cost nothing
        first (account_id, created_at) AS (
            (SELECT account_id, created_at FROM messages WHERE state = 'queued' ORDER BY account_id, seq LIMIT 1)
            UNION ALL
            SELECT n.account_id, n.created_at FROM first f CROSS JOIN LATERAL (
                SELECT account_id, created_at FROM messages WHERE state = 'queued' AND account_id > f.account_id
                ORDER BY account_id, seq LIMIT 1) n),
        oldest AS MATERIALIZED (SELECT account_id, created_at FROM first LIMIT $1),
        counted AS MATERIALIZED (
            SELECT account_id, count(*) AS messages FROM (
                SELECT account_id FROM messages WHERE state = 'queued' ORDER BY account_id, seq LIMIT $2) m
            GROUP BY account_id),
        -- without those that wait for an earlier one of their reminder
        run AS MATERIALIZED (
            SELECT created_at FROM runs r
            WHERE status = 'pending' AND NOT EXISTS (
                SELECT FROM runs b
                WHERE b.reminder_id = r.reminder_id AND b.finished_at IS NULL AND b.status IN ('pending', 'running')
                  AND b.resumed_at IS NULL AND (b.fire_at, b.id) < (r.fire_at, r.id))
            ORDER BY created_at LIMIT $3),
        due AS MATERIALIZED (SELECT next_fire_at FROM reminders WHERE next_fire_at <= now() ORDER BY next_fire_at LIMIT $3),
        delivery AS MATERIALIZED (
            SELECT d.attempts, d.created_at FROM webhooks h CROSS JOIN LATERAL (
                SELECT attempts, created_at FROM webhook_deliveries
                WHERE webhook_id = h.id AND state = 'pending' ORDER BY next_attempt_at LIMIT $4) d
            WHERE h.enabled LIMIT $5)
        SELECT f.what AS "what!", f.kind AS "kind!", f.reason AS "reason!", f.count::float8 AS "count!",
               greatest(coalesce(f.more, 0), 0)::float8 AS "more!"
        FROM (
            SELECT 'accounts' AS what, status AS kind, '' AS reason, count(*)::numeric AS count, 0::numeric AS more
            FROM a GROUP BY status
            UNION ALL SELECT 'wanted', '', '', count(*), count(*) FILTER (WHERE status = 'connected' AND alive)
            FROM a WHERE wanted = 'online' AND status IN ('connected', 'disconnected')
            UNION ALL SELECT 'unowned', '', '', count(*), 0
            FROM a WHERE wanted = 'online' AND status IN ('connected', 'disconnected') AND NOT alive
            UNION ALL SELECT 'waiting', 'message', a.reason, coalesce(sum(counted.messages), 0),
                max(extract(epoch FROM now() - oldest.created_at))
            FROM a LEFT JOIN oldest ON oldest.account_id = a.id LEFT JOIN counted ON counted.account_id = a.id
            WHERE oldest.account_id IS NOT NULL OR counted.account_id IS NOT NULL GROUP BY a.reason
            UNION ALL SELECT 'waiting', 'pairing', 'ready', count(*), max(extract(epoch FROM now() - updated_at))
            FROM a WHERE unshown
            UNION ALL SELECT 'waiting', 'unpairing', 'ready', count(*), max(extract(epoch FROM now() - updated_at))
            FROM a WHERE wanted IN ('erased', 'unlinked') OR (wanted = 'offline' AND owned)
            UNION ALL SELECT 'waiting', 'group_sync', 'ready', count(*), max(extract(epoch FROM now() - groups_wanted_at))
            FROM a WHERE wanted = 'online' AND groups_wanted_at IS NOT NULL
            UNION ALL SELECT 'waiting', 'run', 'ready', count(*), max(extract(epoch FROM now() - created_at)) FROM run
            UNION ALL SELECT 'waiting', 'reminder', 'ready', count(*), max(extract(epoch FROM now() - next_fire_at)) FROM due
            UNION ALL SELECT 'waiting', 'delivery', CASE WHEN attempts = 0 THEN 'ready' ELSE 'retry' END, count(*),
                max(extract(epoch FROM now() - created_at))
            FROM delivery GROUP BY attempts = 0
            UNION ALL SELECT 'workers', CASE WHEN NOT is_alive(w) THEN 'silent'
                WHEN leaving THEN 'leaving' ELSE 'live' END, '', count(*), 0
            FROM workers w WHERE stopped_at IS NULL AND last_seen > now() - make_interval(secs => $6) GROUP BY 2
            UNION ALL SELECT 'capacity', '', '', coalesce(sum(capacity), 0), 0 FROM live WHERE NOT leaving
            UNION ALL SELECT 'webhooks', CASE WHEN NOT enabled THEN 'disabled' WHEN failing_since IS NOT NULL THEN 'failing'
                ELSE 'enabled' END, '', count(*), 0
            FROM webhooks GROUP BY 2
            UNION ALL SELECT 'tenants', '', '', count(*), 0 FROM tenants
        ) f
        "#,
        ACCOUNTS,
        MESSAGES,
        RUNS,
        DELIVERIES.0,
        DELIVERIES.1,
        SILENT.as_secs_f64()
    )
    .fetch_all(db)
    .await?;
    Ok(figures)
}

/// The sizes of these tables in bytes, with indexes and TOAST. Tables that do not exist are left out.
///
/// # Errors
/// If the database fails.
pub async fn table_bytes(db: &PgPool, tables: &[&str]) -> Result<Vec<(String, f64)>> {
    let tables: Vec<String> = tables.iter().map(|name| (*name).to_owned()).collect();
    let sizes = sqlx::query!(
        r#"SELECT name AS "name!", pg_total_relation_size(to_regclass(name))::float8 AS "bytes!"
           FROM unnest($1::text[]) AS t (name) WHERE to_regclass(name) IS NOT NULL"#,
        &tables
    )
    .fetch_all(db)
    .await?;
    Ok(sizes.into_iter().map(|size| (size.name, size.bytes)).collect())
}

/// How many seconds this host's wall clock is ahead of Postgres's. The error is at most half the round trip.
///
/// # Errors
/// If the database fails.
pub async fn clock_offset(db: &PgPool) -> Result<f64> {
    let mut connection = db.acquire().await?; // outside the measured round trip
    let before = BootTime::now();
    let theirs = sqlx::query_scalar!(r#"SELECT extract(epoch FROM clock_timestamp())::float8 AS "now!""#)
        .fetch_one(&mut *connection)
        .await?;
    let (ours, took) = (seconds(clock::now()), BootTime::now().since(before));
    Ok(ours - took.as_secs_f64() / 2.0 - theirs)
}

fn seconds(at: DateTime<Utc>) -> f64 {
    (at - DateTime::UNIX_EPOCH).as_seconds_f64()
}

/// How many migrations of this binary the database lacks, and how many of its migrations this binary does not know.
///
/// # Errors
/// If the database fails, or was never migrated.
pub async fn schema(db: &PgPool) -> Result<(usize, usize)> {
    // not a checked query: the table belongs to sqlx and is in none of our migrations
    let theirs: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(db).await?;
    let theirs: HashSet<i64> = theirs.into_iter().collect();
    let ours: HashSet<i64> = MIGRATOR.iter().map(|migration| migration.version).collect();
    Ok((ours.difference(&theirs).count(), theirs.difference(&ours).count()))
}
