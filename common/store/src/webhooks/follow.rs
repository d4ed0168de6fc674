//! A webhook as seen by the worker that serves it: its settings and due deliveries. Only the owner's id protects these
//! writes. If two workers believe for a moment that they own one webhook, an event may be posted twice, but none is
//! lost or skipped.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::look::Mark;
use crate::error::Result;
use crate::events::{Cursor, Happened};
use crate::scope::{ForAllTenants, Of};
use domain::id::{AccountId, DeliveryId, TenantId, WebhookId, WorkerId};
use domain::webhook::TEST;

/// A webhook that a worker serves.
#[derive(Debug, Clone)]
pub struct Held {
    /// The address.
    pub url: String,
    /// The kinds of events; empty: all.
    pub kinds: Vec<String>,
    /// The secret that signs.
    pub secret: String,
    /// The previous secret, while it also signs.
    pub previous_secret: Option<String>,
    /// The number of failed attempts in a row.
    pub failures: i32,
    /// When the failures began.
    pub failing_since: Option<DateTime<Utc>>,
    /// The position up to which events have become deliveries.
    pub cursor: Cursor,
    /// The number of waiting deliveries that hold back others, counted up to a limit.
    pub waiting: i64,
    /// The time until the next delivery is due, zero if one is due; `None` if none is waiting.
    pub due_in: Option<Duration>,
    /// Increased by each change, and by each request for an immediate attempt.
    pub version: i64,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Held {
    /// What a [`look`](super::look::look) shows as long as the webhook is still this one.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let (version, updated_at) = (self.version, self.updated_at);
        Mark { version, updated_at, previous_signs: self.previous_secret.is_some() }
    }
}

/// A due delivery.
#[derive(Debug, Clone)]
pub struct Due {
    /// The delivery.
    pub id: DeliveryId,
    /// The lane. Deliveries of one lane are sent one after the other.
    pub lane: Uuid,
    /// The number of attempts so far.
    pub attempts: i32,
    /// The time since it was created.
    pub age: Duration,
    /// The content for the receiver.
    pub happened: Happened,
    /// The W3C `traceparent` of the event's trace.
    pub trace: Option<String>,
}

/// Claims up to `limit` webhooks without a living owner, and returns all that this worker owns. Rows that another
/// worker is claiming are skipped without waiting.
///
/// # Errors
/// If the database fails.
pub async fn claim(all: ForAllTenants<'_>, worker: WorkerId, limit: i64) -> Result<Vec<(TenantId, WebhookId)>> {
    let ForAllTenants { pool: db } = all;
    let rows = sqlx::query!(
        r#"
        WITH seen AS MATERIALIZED (
            SELECT h.id, h.owner FROM webhooks h
            WHERE h.enabled AND h.owner IS DISTINCT FROM $1 AND NOT EXISTS (
                SELECT FROM workers w WHERE w.id = h.owner AND is_alive(w))
            LIMIT $2),
        free AS (
            -- one that was claimed since it was seen has an owner whom this snapshot may not know
            SELECT h.id FROM webhooks h JOIN seen ON seen.id = h.id WHERE h.owner IS NOT DISTINCT FROM seen.owner
            FOR UPDATE OF h SKIP LOCKED),
        taken AS (UPDATE webhooks h SET owner = $1 FROM free WHERE h.id = free.id RETURNING h.tenant_id, h.id)
        SELECT tenant_id AS "tenant!: TenantId", id AS "webhook!: WebhookId" FROM taken
        UNION SELECT tenant_id, id FROM webhooks WHERE owner = $1 AND enabled
        "#,
        worker.0,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.tenant, row.webhook)).collect())
}

/// Gives back all webhooks of this worker, so that others can claim them at once.
///
/// # Errors
/// If the database fails. Then others wait until the worker has stopped or its heartbeat is too old.
pub async fn release(all: ForAllTenants<'_>, worker: WorkerId) -> Result<()> {
    let ForAllTenants { pool: db } = all;
    sqlx::query!("UPDATE webhooks SET owner = NULL WHERE owner = $1", worker.0).execute(db).await?;
    Ok(())
}

/// The number of waiting deliveries of this worker's webhooks.
///
/// # Errors
/// If the database fails.
pub async fn backlog(all: ForAllTenants<'_>, worker: WorkerId) -> Result<i64> {
    let ForAllTenants { pool: db } = all;
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM webhook_deliveries d JOIN webhooks h ON h.id = d.webhook_id
           WHERE h.owner = $1 AND h.enabled AND d.state = 'pending'"#,
        worker.0
    )
    .fetch_one(db)
    .await?;
    Ok(count)
}

/// The current webhook; `None` if it is deleted, disabled or owned by another worker. Deliveries that hold back others
/// are counted up to `limit`.
///
/// # Errors
/// If the database fails.
pub async fn held(of: Of<'_>, webhook: WebhookId, worker: WorkerId, limit: i64) -> Result<Option<Held>> {
    let Of { pool: db, tenant, .. } = of;
    let row = sqlx::query!(
        r#"
        SELECT url, kinds, secret, CASE WHEN previous_secret_until > now() THEN previous_secret END AS previous_secret,
            failures, failing_since, cursor_txid, cursor_id, version, updated_at, (
                SELECT extract(epoch FROM min(d.next_attempt_at) - now())::float8 FROM webhook_deliveries d
                WHERE d.webhook_id = h.id AND d.state = 'pending'
            ) AS due_in, (
                SELECT count(*) FROM (
                    SELECT FROM webhook_deliveries d
                    WHERE d.webhook_id = h.id AND d.state = 'pending' AND d.holds LIMIT $4) waiting
            ) AS "waiting!"
        FROM webhooks h WHERE tenant_id = $1 AND id = $2 AND owner = $3 AND enabled
        "#,
        tenant.0,
        webhook.0,
        worker.0,
        limit
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Held {
        url: row.url,
        kinds: row.kinds,
        secret: row.secret,
        previous_secret: row.previous_secret,
        failures: row.failures,
        failing_since: row.failing_since,
        cursor: Cursor { txid: row.cursor_txid, id: row.cursor_id },
        waiting: row.waiting,
        due_in: row.due_in.map(since),
        version: row.version,
        updated_at: row.updated_at,
    }))
}

/// The webhook's current [`Held::version`].
///
/// # Errors
/// If the database fails.
pub async fn version(of: Of<'_>, webhook: WebhookId) -> Result<Option<i64>> {
    let Of { pool: db, tenant, .. } = of;
    let version =
        sqlx::query_scalar!("SELECT version FROM webhooks WHERE tenant_id = $1 AND id = $2", tenant.0, webhook.0)
            .fetch_optional(db)
            .await?;
    Ok(version)
}

/// At most `limit` due deliveries, without those that wait for an older one of their lane. Tests come first, since a
/// person waits for them, then those that hold back others, in order, then the rest. Also returns the time until the
/// next delivery is due.
///
/// # Errors
/// If the database fails.
pub async fn due(of: Of<'_>, webhook: WebhookId, limit: i64) -> Result<(Vec<Due>, Option<Duration>)> {
    let Of { pool: db, tenant, .. } = of;
    let rows = sqlx::query!(
        r#"
        SELECT id AS "id: DeliveryId", lane, attempts, extract(epoch FROM now() - created_at)::float8 AS "age!", event_txid,
            event_id, kind, account_id AS "account_id: AccountId", data AS "data!", happened_at, trace
        FROM webhook_deliveries d
        WHERE tenant_id = $1 AND webhook_id = $2 AND state = 'pending' AND next_attempt_at <= now() AND NOT EXISTS (
            SELECT FROM webhook_deliveries o
            WHERE o.webhook_id = d.webhook_id AND o.lane = d.lane AND o.state = 'pending' AND o.holds AND o.seq < d.seq
              AND o.next_attempt_at > now())
        ORDER BY kind = $3 DESC, holds DESC, seq LIMIT $4
        "#,
        tenant.0,
        webhook.0,
        TEST,
        limit
    )
    .fetch_all(db)
    .await?;
    let next = sqlx::query_scalar!(
        r#"
        SELECT extract(epoch FROM min(next_attempt_at) - now())::float8 FROM webhook_deliveries
        WHERE tenant_id = $1 AND webhook_id = $2 AND state = 'pending' AND next_attempt_at > now()
        "#,
        tenant.0,
        webhook.0
    )
    .fetch_one(db)
    .await?;
    let due = rows.into_iter().map(|row| {
        let cursor = row.event_txid.zip(row.event_id).map(|(txid, id)| Cursor { txid, id }.to_string());
        let (id, account_id, created_at) =
            (cursor.unwrap_or_else(|| row.id.to_string()), row.account_id, row.happened_at);
        let happened = Happened { id, kind: row.kind, account_id, data: row.data, created_at };
        Due { id: row.id, lane: row.lane, attempts: row.attempts, age: since(row.age), happened, trace: row.trace }
    });
    Ok((due.collect(), next.map(since)))
}

fn since(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.max(0.0))
}
