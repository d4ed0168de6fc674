//! A webhook as seen by the worker that serves it: its settings and due deliveries. Only the owner's id protects these
//! writes. If two workers believe for a moment that they own one webhook, an event may be posted twice, but none is
//! lost or skipped.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::error::Result;
use crate::events::{Cursor, Happened, Recorded};
use crate::scope::{ForAllTenants, Of};
use domain::id::{AccountId, DeliveryId, TenantId, WebhookId, WorkerId};
use domain::webhook::{self, TEST};

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
    /// Increased by each change, and by each request for an immediate attempt.
    pub version: i64,
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
    let Of { pool: db, tenant } = of;
    let row = sqlx::query!(
        r#"
        SELECT url, kinds, secret, CASE WHEN previous_secret_until > now() THEN previous_secret END AS previous_secret,
            failures, failing_since, cursor_txid, cursor_id, version, (
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
        version: row.version,
    }))
}

/// The webhook's current [`Held::version`].
///
/// # Errors
/// If the database fails.
pub async fn version(of: Of<'_>, webhook: WebhookId) -> Result<Option<i64>> {
    let Of { pool: db, tenant } = of;
    let version =
        sqlx::query_scalar!("SELECT version FROM webhooks WHERE tenant_id = $1 AND id = $2", tenant.0, webhook.0)
            .fetch_optional(db)
            .await?;
    Ok(version)
}

/// Creates deliveries of the `events` that the webhook carries, and moves its cursor to the last event, in one
/// statement. Of the deliveries that no longer hold back others, only the newest `passed_max` stay pending. Returns
/// false if the cursor was moved or the webhook claimed meanwhile.
///
/// # Errors
/// If the database fails.
pub async fn take(
    of: Of<'_>,
    (webhook, worker): (WebhookId, WorkerId),
    held: &Held,
    events: Vec<Recorded>,
    passed_max: i64,
) -> Result<bool> {
    let Of { pool: db, tenant } = of;
    let Some(last) = events.last().map(|event| event.cursor) else { return Ok(false) };
    let carried: Vec<Recorded> =
        events.into_iter().filter(|event| webhook::carries(&held.kinds, &event.kind)).collect();
    let ids: Vec<Uuid> = carried.iter().map(|_| DeliveryId::new().0).collect();
    let (txids, event_ids): (Vec<i64>, Vec<i64>) =
        carried.iter().map(|event| (event.cursor.txid, event.cursor.id)).unzip();
    let accounts: Vec<Option<Uuid>> = carried.iter().map(|event| event.account.map(|account| account.0)).collect();
    let times: Vec<DateTime<Utc>> = carried.iter().map(|event| event.created_at).collect();
    let traces: Vec<Option<String>> = carried.iter().map(|event| event.trace.clone()).collect();
    let (kinds, data): (Vec<String>, Vec<Value>) = carried.into_iter().map(|event| (event.kind, event.data)).unzip();
    let moved = sqlx::query_scalar!(
        r#"
        WITH moved AS (
            UPDATE webhooks SET cursor_txid = $4, cursor_id = $5
            WHERE tenant_id = $1 AND id = $2 AND owner = $3 AND (cursor_txid, cursor_id) = ($6, $7)
            RETURNING tenant_id, id),
        made AS (
            INSERT INTO webhook_deliveries
                (id, tenant_id, webhook_id, event_txid, event_id, account_id, kind, data, happened_at, trace)
            SELECT e.id, moved.tenant_id, moved.id, e.txid, e.event_id, e.account_id, e.kind, e.data, e.happened_at, e.trace
            FROM moved, unnest($8::uuid[], $9::bigint[], $10::bigint[], $11::uuid[], $12::text[], $13::jsonb[],
                    $14::timestamptz[], $16::text[])
                AS e(id, txid, event_id, account_id, kind, data, happened_at, trace)
            ORDER BY e.txid, e.event_id),
        given_up AS (
            UPDATE webhook_deliveries SET state = 'failed', last_error = 'overflow', finished_at = now()
            WHERE state = 'pending' AND id IN (
                SELECT d.id FROM webhook_deliveries d
                WHERE d.tenant_id = $1 AND d.webhook_id = $2 AND d.state = 'pending' AND NOT d.holds
                  AND EXISTS (SELECT FROM moved)
                ORDER BY d.seq DESC OFFSET $15))
        SELECT count(*) AS "count!" FROM moved
        "#,
        tenant.0,
        webhook.0,
        worker.0,
        last.txid,
        last.id,
        held.cursor.txid,
        held.cursor.id,
        &ids,
        &txids,
        &event_ids,
        &accounts as &[Option<Uuid>],
        &kinds,
        &data,
        &times,
        passed_max,
        &traces as &[Option<String>]
    )
    .fetch_one(db)
    .await?;
    Ok(moved > 0)
}

/// At most `limit` due deliveries, without those that wait for an older one of their lane. Tests come first, since a
/// person waits for them, then those that hold back others, in order, then the rest. Also returns the time until the
/// next delivery is due.
///
/// # Errors
/// If the database fails.
pub async fn due(of: Of<'_>, webhook: WebhookId, limit: i64) -> Result<(Vec<Due>, Option<Duration>)> {
    let Of { pool: db, tenant } = of;
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
