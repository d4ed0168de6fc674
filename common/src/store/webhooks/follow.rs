//! A webhook as the worker that moves it sees it: whose it is, what is due, and what became of an attempt. Nothing here is
//! fenced by more than the owner's name: when two workers believe to own one webhook for a moment, an event may be posted
//! twice, and none is lost or stepped over.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::id::{AccountId, DeliveryId, TenantId, WebhookId, WorkerId};
use crate::store::events::{self, Cursor, Event, Happened};
use crate::store::leases::interval;
use crate::store::{Error, Result};
use crate::webhook::{self, retry};

/// A webhook that a worker moves.
#[derive(Debug, Clone)]
pub struct Held {
    /// Where to.
    pub url: String,
    /// Which kinds; empty: all.
    pub kinds: Vec<String>,
    /// Signs.
    pub secret: String,
    /// Signs, too.
    pub previous_secret: Option<String>,
    /// Attempts that failed in a row.
    pub failures: i32,
    /// Since when.
    pub failing_since: Option<DateTime<Utc>>,
    /// Events up to here have become deliveries.
    pub cursor: Cursor,
    /// Deliveries that wait, counted up to a limit.
    pub waiting: i64,
}

/// A delivery whose time has come.
#[derive(Debug, Clone)]
pub struct Due {
    /// Which.
    pub id: DeliveryId,
    /// Those of one lane go out one after the other.
    pub lane: Uuid,
    /// Attempts so far.
    pub attempts: i32,
    /// What the receiver is told.
    pub happened: Happened,
}

/// Claims up to `limit` webhooks that no living worker owns, and answers all that this worker owns. One worker at a time
/// decides who gets which; nobody waits for a row that another looks at.
///
/// # Errors
/// When the database fails.
pub async fn claim_across_tenants(
    db: &PgPool,
    worker: WorkerId,
    stale_after: Duration,
    limit: i64,
) -> Result<Vec<(TenantId, WebhookId)>> {
    let rows = sqlx::query!(
        r#"
        WITH free AS (
            SELECT h.id FROM webhooks h
            WHERE h.enabled AND h.owner IS DISTINCT FROM $1 AND NOT EXISTS (
                SELECT FROM workers w
                WHERE w.id = h.owner AND w.stopped_at IS NULL AND w.last_seen > now() - $2::interval)
            LIMIT $3 FOR UPDATE SKIP LOCKED),
        taken AS (UPDATE webhooks h SET owner = $1 FROM free WHERE h.id = free.id RETURNING h.tenant_id, h.id)
        SELECT tenant_id AS "tenant!: TenantId", id AS "webhook!: WebhookId" FROM taken
        UNION SELECT tenant_id, id FROM webhooks WHERE owner = $1 AND enabled
        "#,
        worker.0,
        interval(stale_after)?,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.tenant, row.webhook)).collect())
}

/// Gives everything back that this worker owns, for others to claim at once.
///
/// # Errors
/// When the database fails; then others wait until the worker has stopped or its heartbeat is stale.
pub async fn release_across_tenants(db: &PgPool, worker: WorkerId) -> Result<()> {
    sqlx::query!("UPDATE webhooks SET owner = NULL WHERE owner = $1", worker.0).execute(db).await?;
    Ok(())
}

/// How many deliveries wait at the webhooks of this worker.
///
/// # Errors
/// When the database fails.
pub async fn backlog_across_tenants(db: &PgPool, worker: WorkerId) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM webhook_deliveries d JOIN webhooks h ON h.id = d.webhook_id
           WHERE h.owner = $1 AND h.enabled AND d.state = 'pending'"#,
        worker.0
    )
    .fetch_one(db)
    .await?;
    Ok(count)
}

/// The webhook as it is now; none: it is gone, disabled or another worker's. Waiting deliveries are counted up to `limit`.
///
/// # Errors
/// When the database fails.
pub async fn held(
    db: &PgPool,
    tenant: TenantId,
    webhook: WebhookId,
    worker: WorkerId,
    limit: i64,
) -> Result<Option<Held>> {
    let row = sqlx::query!(
        r#"
        SELECT url, kinds, secret, CASE WHEN previous_secret_until > now() THEN previous_secret END AS previous_secret,
            failures, failing_since, cursor_txid, cursor_id, (
                SELECT count(*) FROM (
                    SELECT FROM webhook_deliveries d WHERE d.webhook_id = h.id AND d.state = 'pending' LIMIT $4) waiting
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
    }))
}

/// Makes deliveries of the events behind the cursor that the webhook carries, and moves the cursor behind the last of them, in
/// one statement: a crash does both or neither. Whether it was done; not, when the cursor was moved or the webhook taken
/// meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn take(
    db: &PgPool,
    tenant: TenantId,
    (webhook, worker): (WebhookId, WorkerId),
    held: &Held,
    events: Vec<Event>,
) -> Result<bool> {
    let Some(last) = events.last().map(|event| event.cursor) else { return Ok(false) };
    let carried: Vec<Event> = events.into_iter().filter(|event| webhook::carries(&held.kinds, &event.kind)).collect();
    let ids: Vec<Uuid> = carried.iter().map(|_| DeliveryId::new().0).collect();
    let (txids, event_ids): (Vec<i64>, Vec<i64>) =
        carried.iter().map(|event| (event.cursor.txid, event.cursor.id)).unzip();
    let accounts: Vec<Option<Uuid>> = carried.iter().map(|event| event.account.map(|account| account.0)).collect();
    let times: Vec<DateTime<Utc>> = carried.iter().map(|event| event.created_at).collect();
    let (kinds, data): (Vec<String>, Vec<Value>) = carried.into_iter().map(|event| (event.kind, event.data)).unzip();
    let moved = sqlx::query_scalar!(
        r#"
        WITH moved AS (
            UPDATE webhooks SET cursor_txid = $4, cursor_id = $5
            WHERE tenant_id = $1 AND id = $2 AND owner = $3 AND (cursor_txid, cursor_id) = ($6, $7)
            RETURNING tenant_id, id),
        made AS (
            INSERT INTO webhook_deliveries (id, tenant_id, webhook_id, event_txid, event_id, account_id, kind, data, happened_at)
            SELECT e.id, moved.tenant_id, moved.id, e.txid, e.event_id, e.account_id, e.kind, e.data, e.happened_at
            FROM moved, unnest($8::uuid[], $9::bigint[], $10::bigint[], $11::uuid[], $12::text[], $13::jsonb[], $14::timestamptz[])
                AS e(id, txid, event_id, account_id, kind, data, happened_at)
            ORDER BY e.txid, e.event_id)
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
        &times
    )
    .fetch_one(db)
    .await?;
    Ok(moved > 0)
}

/// The deliveries whose time has come, in order, at most `limit`; without those that wait behind an older one of their lane.
/// Beside them, when the next one's time comes.
///
/// # Errors
/// When the database fails.
pub async fn due(
    db: &PgPool,
    tenant: TenantId,
    webhook: WebhookId,
    limit: i64,
) -> Result<(Vec<Due>, Option<Duration>)> {
    let rows = sqlx::query!(
        r#"
        SELECT id AS "id: DeliveryId", lane, attempts, event_txid, event_id, kind, account_id AS "account_id: AccountId",
            data AS "data!", happened_at
        FROM webhook_deliveries d
        WHERE tenant_id = $1 AND webhook_id = $2 AND state = 'pending' AND next_attempt_at <= now() AND NOT EXISTS (
            SELECT FROM webhook_deliveries o
            WHERE o.webhook_id = d.webhook_id AND o.lane = d.lane AND o.state = 'pending' AND o.seq < d.seq
              AND o.next_attempt_at > now() AND o.attempts < $3)
        ORDER BY seq LIMIT $4
        "#,
        tenant.0,
        webhook.0,
        retry::HOLDS_ATTEMPTS,
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
        Due { id: row.id, lane: row.lane, attempts: row.attempts, happened }
    });
    Ok((due.collect(), next.map(|seconds| Duration::from_secs_f64(seconds.max(0.0)))))
}

/// An attempt was answered with 2xx: the delivery has ended, and its data goes. Answers the seconds since the event, none
/// when somebody else was first.
///
/// # Errors
/// When the database fails: the delivery stays and is posted again.
pub async fn delivered(db: &PgPool, tenant: TenantId, delivery: DeliveryId, status: u16) -> Result<Option<f64>> {
    let seconds = sqlx::query_scalar!(
        r#"
        WITH done AS (
            UPDATE webhook_deliveries SET state = 'delivered', attempts = attempts + 1, last_status = $3, last_error = NULL,
                data = NULL, finished_at = now()
            WHERE tenant_id = $1 AND id = $2 AND state = 'pending'
            RETURNING webhook_id, happened_at),
        well AS (
            UPDATE webhooks SET failures = 0, failing_since = NULL
            FROM done WHERE tenant_id = $1 AND id = done.webhook_id AND failures > 0)
        SELECT extract(epoch FROM now() - happened_at)::float8 AS "seconds!" FROM done
        "#,
        tenant.0,
        delivery.0,
        i32::from(status)
    )
    .fetch_optional(db)
    .await?;
    Ok(seconds)
}

/// An attempt failed, the one after `attempts` others: the next comes after `again_in`; none: the delivery has failed.
///
/// # Errors
/// When the database fails: the delivery stays as it is.
pub async fn failed(
    db: &PgPool,
    tenant: TenantId,
    (delivery, attempts): (DeliveryId, i32),
    (status, error): (Option<u16>, &str),
    again_in: Option<Duration>,
) -> Result<()> {
    sqlx::query!(
        r#"
        WITH done AS (
            UPDATE webhook_deliveries SET attempts = attempts + 1, last_status = $4, last_error = $5,
                state = CASE WHEN $6::float8 IS NULL THEN 'failed' ELSE 'pending' END,
                next_attempt_at = now() + make_interval(secs => coalesce($6::float8, 0)),
                finished_at = CASE WHEN $6::float8 IS NULL THEN now() END
            WHERE tenant_id = $1 AND id = $2 AND state = 'pending' AND attempts = $3
            RETURNING webhook_id)
        UPDATE webhooks SET failures = failures + 1, failing_since = coalesce(failing_since, now())
        FROM done WHERE tenant_id = $1 AND id = done.webhook_id
        "#,
        tenant.0,
        delivery.0,
        attempts,
        status.map(i32::from),
        error,
        again_in.map(|wait| wait.as_secs_f64())
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Lets everything that waits be tried at once: the receiver is back, or another one.
///
/// # Errors
/// When the database fails.
pub async fn try_at_once(transaction: &mut PgConnection, tenant: TenantId, webhook: WebhookId) -> Result<()> {
    sqlx::query!(
        "UPDATE webhook_deliveries SET next_attempt_at = now()
         WHERE tenant_id = $1 AND webhook_id = $2 AND state = 'pending' AND next_attempt_at > now()",
        tenant.0,
        webhook.0
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Disables a webhook, and says so in an event: `reason` is `gone`, or `failing` when it has failed for so long. Whether it
/// was done: not, when an attempt has succeeded meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn disable(
    db: &PgPool,
    tenant: TenantId,
    webhook: WebhookId,
    reason: &str,
    failing_for: Duration,
) -> Result<bool> {
    let mut transaction = db.begin().await?;
    let disabled = sqlx::query!(
        "UPDATE webhooks SET enabled = false, disabled_reason = $3, updated_at = now()
         WHERE tenant_id = $1 AND id = $2 AND enabled AND failing_since <= now() - $4::interval",
        tenant.0,
        webhook.0,
        reason,
        interval(failing_for)?
    )
    .execute(&mut *transaction)
    .await?;
    if disabled.rows_affected() == 0 {
        return Ok(false);
    }
    let data = json!({"webhook_id": webhook, "reason": reason});
    events::record(&mut transaction, tenant, None, webhook::DISABLED, &data).await?;
    transaction.commit().await.map_err(Error::from)?;
    Ok(true)
}
