//! What an operator sees at the command line, across tenants: owners of accounts, waiting rows, events. Reads only.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;

use super::error::Result;
use super::events::Cursor;
use super::interval::interval;
use super::scope::ForAllTenants;
use domain::account::Status;
use domain::id::{AccountId, TenantId, WorkerId};

/// An account's lease.
#[derive(Debug, Clone, Serialize)]
pub struct Lease {
    /// The account.
    pub account_id: AccountId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// The status of the account.
    pub status: Status,
    /// The worker process that owns it.
    pub worker_id: Option<WorkerId>,
    /// The owner's host.
    pub worker: Option<String>,
    /// Whether the owner is alive.
    pub alive: bool,
    /// The epoch of the lease.
    pub epoch: i64,
    /// When it was last claimed.
    pub claimed_at: Option<DateTime<Utc>>,
}

/// Leases with an owner, the newest claims first. If `worker` is given (an id or a host name), only that worker's.
///
/// # Errors
/// If the database fails.
pub async fn leases(all: ForAllTenants<'_>, worker: Option<&str>, limit: i64) -> Result<Vec<Lease>> {
    let ForAllTenants { pool: db } = all;
    let leases = sqlx::query_as!(
        Lease,
        r#"
        SELECT l.account_id AS "account_id: AccountId", a.tenant_id AS "tenant_id: TenantId", a.status AS "status: Status",
            l.owner AS "worker_id: WorkerId", w.name AS "worker?", l.epoch, l.claimed_at,
            coalesce(is_alive(w), false) AS "alive!"
        FROM leases l JOIN accounts a ON a.id = l.account_id LEFT JOIN workers w ON w.id = l.owner
        WHERE l.owner IS NOT NULL AND ($1::text IS NULL OR l.owner::text = $1 OR w.name = $1)
        ORDER BY l.claimed_at DESC NULLS LAST, l.account_id LIMIT $2
        "#,
        worker,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(leases)
}

/// An account, without its number.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// The tenant's name.
    pub tenant: String,
    /// The label.
    pub label: String,
    /// The status.
    pub status: Status,
    /// The reason for the status.
    pub reason: Option<String>,
    /// The wanted state: `online`, `offline`, `unlinked` or `erased`.
    pub wanted: String,
    /// The host of its owner.
    pub worker: Option<String>,
    /// The number of its queued messages.
    pub queued: i64,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Accounts, the most recently changed first; of one tenant or with one status, if given.
///
/// # Errors
/// If the database fails.
pub async fn accounts(
    all: ForAllTenants<'_>,
    tenant: Option<TenantId>,
    status: Option<Status>,
    limit: i64,
) -> Result<Vec<Account>> {
    let ForAllTenants { pool: db } = all;
    let accounts = sqlx::query_as!(
        Account,
        r#"
        SELECT a.id AS "id: AccountId", a.tenant_id AS "tenant_id: TenantId", t.name AS tenant, a.label,
            a.status AS "status: Status", a.status_reason AS reason, a.wanted, w.name AS "worker?",
            (SELECT count(*) FROM messages m WHERE m.account_id = a.id AND m.state = 'queued') AS "queued!", a.updated_at
        FROM accounts a JOIN tenants t ON t.id = a.tenant_id
            LEFT JOIN leases l ON l.account_id = a.id LEFT JOIN workers w ON w.id = l.owner
        WHERE ($1::uuid IS NULL OR a.tenant_id = $1) AND ($2::text IS NULL OR a.status = $2)
        ORDER BY a.updated_at DESC, a.id LIMIT $3
        "#,
        tenant.map(|tenant| tenant.0),
        status.map(Status::as_str),
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(accounts)
}

/// The owner of an account, and whether the account should be live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The worker process that owns it.
    pub worker: Option<WorkerId>,
    /// The epoch of the lease.
    pub epoch: i64,
    /// Whether it should be live, unlinked or erased.
    pub wanted: bool,
}

/// The owner of an account; `None` if there is no such account.
///
/// # Errors
/// If the database fails.
pub async fn owner(all: ForAllTenants<'_>, account: AccountId) -> Result<Option<Owner>> {
    let ForAllTenants { pool: db } = all;
    let owner = sqlx::query_as!(
        Owner,
        r#"
        SELECT l.owner AS "worker: WorkerId", l.epoch, a.wanted <> 'offline' AS "wanted!"
        FROM leases l JOIN accounts a ON a.id = l.account_id WHERE l.account_id = $1
        "#,
        account.0
    )
    .fetch_optional(db)
    .await?;
    Ok(owner)
}

/// A worker process.
#[derive(Debug, Clone, Serialize)]
pub struct Worker {
    /// Its id.
    pub id: WorkerId,
    /// Its host name.
    pub name: String,
    /// `live`, `leaving` or `silent`.
    pub state: String,
    /// The release that it belongs to.
    pub release: String,
    /// The version of its code.
    pub version: String,
    /// Accounts held at its last heartbeat.
    pub held: i32,
    /// The highest number of accounts that it holds.
    pub capacity: i32,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Its last heartbeat.
    pub last_seen: DateTime<Utc>,
}

/// Workers, newest first: those that are alive, and those that have not stopped and were seen within `forgotten_after`.
///
/// # Errors
/// If the database fails.
pub async fn workers(db: &PgPool, forgotten_after: Duration) -> Result<Vec<Worker>> {
    let workers = sqlx::query_as!(
        Worker,
        r#"
        SELECT id AS "id: WorkerId", name, release, version, held, capacity, started_at, last_seen,
            CASE WHEN NOT is_alive(w) THEN 'silent' WHEN leaving THEN 'leaving' ELSE 'live' END AS "state!"
        FROM workers w WHERE is_alive(w) OR (stopped_at IS NULL AND last_seen > now() - $1::interval)
        ORDER BY started_at DESC, id
        "#,
        interval(forgotten_after)?
    )
    .fetch_all(db)
    .await?;
    Ok(workers)
}

/// Waiting rows of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct Waiting {
    /// What waits.
    pub what: String,
    /// How many there are, counted up to 100,000 per kind.
    pub count: i64,
    /// How long the oldest has waited, in seconds.
    pub oldest_s: Option<f64>,
}

/// The rows that wait for a worker, a scheduler or a receiver.
///
/// # Errors
/// If the database fails.
pub async fn waiting(all: ForAllTenants<'_>) -> Result<Vec<Waiting>> {
    let ForAllTenants { pool: db } = all;
    let waiting = sqlx::query_as!(
        Waiting,
        r#"
        SELECT what AS "what!", count(at) AS "count!", extract(epoch FROM now() - min(at))::float8 AS oldest_s
        FROM (
            SELECT 1 AS place, 'messages of connected accounts' AS what, at FROM (
                SELECT m.created_at AS at FROM messages m JOIN accounts a ON a.id = m.account_id
                WHERE m.state = 'queued' AND a.status = 'connected' LIMIT 100000) m
            UNION ALL SELECT 2, 'messages of other accounts', at FROM (
                SELECT m.created_at AS at FROM messages m JOIN accounts a ON a.id = m.account_id
                WHERE m.state = 'queued' AND a.status <> 'connected' LIMIT 100000) m
            UNION ALL SELECT 3, 'pairings without a code', updated_at
                FROM pairings p JOIN accounts a ON a.id = p.account_id
                WHERE wanted = 'online' AND jid IS NULL AND p.qr_text IS NULL AND p.code IS NULL AND window_ends_at > now()
            UNION ALL SELECT 4, 'accounts to be removed', updated_at FROM accounts WHERE wanted = 'erased'
            UNION ALL SELECT 5, 'runs', created_at FROM (SELECT created_at FROM runs WHERE status = 'pending' LIMIT 100000) r
            UNION ALL SELECT 6, 'reminders that are due', next_fire_at FROM (
                SELECT next_fire_at FROM reminders WHERE next_fire_at <= now() LIMIT 100000) r
            UNION ALL SELECT 7, 'deliveries to webhooks', created_at FROM (
                SELECT d.created_at FROM webhook_deliveries d JOIN webhooks h ON h.id = d.webhook_id
                WHERE d.state = 'pending' AND h.enabled LIMIT 100000) d
            UNION ALL SELECT place, what, NULL FROM (VALUES (1, 'messages of connected accounts'),
                (2, 'messages of other accounts'), (3, 'pairings without a code'), (4, 'accounts to be removed'), (5, 'runs'),
                (6, 'reminders that are due'), (7, 'deliveries to webhooks')) AS v (place, what)
        ) w
        GROUP BY place, what ORDER BY place
        "#
    )
    .fetch_all(db)
    .await?;
    Ok(waiting)
}

/// The number of accounts that should be live but have no living owner, and the longest time without one, in seconds.
///
/// # Errors
/// If the database fails.
pub async fn unowned(all: ForAllTenants<'_>) -> Result<(i64, f64)> {
    let ForAllTenants { pool: db } = all;
    let found = sqlx::query!(
        r#"
        SELECT count(*) AS "count!",
            coalesce(extract(epoch FROM now() - min(coalesce(w.last_seen, l.released_at)))::float8, 0) AS "longest!"
        FROM accounts a JOIN leases l ON l.account_id = a.id LEFT JOIN workers w ON w.id = l.owner
        WHERE a.wanted <> 'offline'
          AND is_alive(w) IS NOT TRUE
        "#
    )
    .fetch_one(db)
    .await?;
    Ok((found.count, found.longest))
}

/// An event with its tenant.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Its position as text.
    pub id: String,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Its account, if it concerns one.
    pub account_id: Option<AccountId>,
    /// Its kind.
    pub kind: String,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// The data, only if requested. It may contain phone numbers and texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Its position.
    #[serde(skip)]
    pub cursor: Cursor,
}

/// Filters for events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which<'a> {
    /// Only of this tenant.
    pub tenant: Option<TenantId>,
    /// Only of this kind.
    pub kind: Option<&'a str>,
    /// Include the data.
    pub data: bool,
}

/// The longest transaction whose events a follower of all tenants is sure to see.
const LONGEST: Duration = Duration::from_secs(60);

/// The newest settled events, in order. `after` is the position of the last event seen, and the time since that look;
/// then only later events are returned.
///
/// # Errors
/// If the database fails.
pub async fn events(
    all: ForAllTenants<'_>,
    which: Which<'_>,
    after: Option<(Cursor, Duration)>,
    limit: i64,
) -> Result<Vec<Event>> {
    let ForAllTenants { pool: db } = all;
    let (cursor, elapsed) = after.unzip();
    let newer_than_s = (LONGEST + elapsed.unwrap_or_default()).as_secs_f64();
    let rows = sqlx::query!(
        r#"
        SELECT * FROM (
            SELECT txid::text::bigint AS "txid!", id AS "id!", tenant_id AS "tenant_id!: TenantId",
                account_id AS "account_id: AccountId", kind AS "kind!", created_at AS "created_at!",
                CASE WHEN $3 THEN data END AS data
            FROM events
            WHERE ($1::uuid IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR kind = $2)
              AND txid < events_settled_below()
              AND ($4::text IS NULL OR ((txid, id) > ($4::text::xid8, $5) AND created_at > now() - make_interval(secs => $6)))
            ORDER BY created_at DESC, txid DESC, id DESC LIMIT $7) newest
        ORDER BY 1, 2
        "#,
        which.tenant.map(|tenant| tenant.0),
        which.kind,
        which.data,
        cursor.map(|cursor| cursor.txid.to_string()),
        cursor.map_or(0, |cursor| cursor.id),
        newer_than_s,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let cursor = Cursor { txid: row.txid, id: row.id };
            Event {
                id: cursor.to_string(),
                tenant_id: row.tenant_id,
                account_id: row.account_id,
                kind: row.kind,
                created_at: row.created_at,
                data: row.data,
                cursor,
            }
        })
        .collect())
}
