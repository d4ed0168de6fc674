//! Deliveries as a tenant sees them: pending ones and their results.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use crate::audit::Operator;
use crate::error::{Error, Result};
use crate::scope::{Of, Within};
use domain::committed::Committed;
use domain::conflict::Conflict;
use domain::id::{AccountId, DeliveryId, TenantId, WebhookId};
use domain::webhook::TEST;
pub use domain::webhook::delivery::State;

/// How many deliveries one call sends again.
const REPLAY_MAX: i32 = 1_000;

/// A delivery without the event's data.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its id. The receiver gets it as `webhook-id`, the same for each attempt.
    pub id: DeliveryId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Its position in the list.
    pub seq: i64,
    /// The event's id; `None` for a test.
    pub event_id: Option<String>,
    /// The event's kind.
    pub kind: String,
    /// The account of the event, if it concerns one.
    pub account_id: Option<AccountId>,
    /// The state.
    pub state: State,
    /// The number of attempts so far, without those that met the receiver's rate limit.
    pub attempts: i32,
    /// The earliest time of the next attempt; `None` if it has ended.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The HTTP status of the last attempt's answer.
    pub last_status: Option<i32>,
    /// Why the last attempt failed: `status`, `timeout`, `address`, `connect`, `tls` or `http`. Or why it was given up:
    /// `overflow` (too many refused deliveries were waiting) or `expired` (no attempt was possible for days).
    pub last_error: Option<String>,
    /// When the event happened.
    pub happened_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The `seq` of the webhook's newest delivery; `None` if it has none.
///
/// # Errors
/// If the database fails.
pub async fn newest(of: Of<'_>, webhook: WebhookId) -> Result<Option<i64>> {
    let Of { pool: db, tenant, .. } = of;
    let newest = sqlx::query_scalar!(
        "SELECT seq FROM webhook_deliveries WHERE tenant_id = $1 AND webhook_id = $2 ORDER BY seq DESC LIMIT 1",
        tenant.0,
        webhook.0
    );
    Ok(newest.fetch_optional(db).await?)
}

/// A page of a webhook's deliveries, newest first; only those in one state, if given.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such webhook.
pub async fn list(
    of: Of<'_>,
    webhook: WebhookId,
    state: Option<State>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Delivery>> {
    let Of { pool: db, tenant, .. } = of;
    super::get(of, webhook).await?;
    let deliveries = sqlx::query_as!(
        Delivery,
        r#"
        SELECT id AS "id: DeliveryId", webhook_id AS "webhook_id: WebhookId", seq, event_txid || '-' || event_id AS event_id,
            kind, account_id AS "account_id: AccountId", state AS "state: State", attempts,
            CASE WHEN state = 'pending' THEN next_attempt_at END AS next_attempt_at, last_status, last_error, happened_at,
            finished_at
        FROM webhook_deliveries
        WHERE tenant_id = $1 AND webhook_id = $2 AND ($3::text IS NULL OR state = $3) AND ($4::bigint IS NULL OR seq < $4)
        ORDER BY seq DESC LIMIT $5
        "#,
        tenant.0,
        webhook.0,
        state as Option<State>,
        before,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(deliveries)
}

/// One delivery.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such delivery at this webhook.
pub async fn get(of: impl Into<Within<'_>>, webhook: WebhookId, delivery: DeliveryId) -> Result<Delivery> {
    let (mut db, tenant) = of.into().acquire().await?;
    sqlx::query_as!(
        Delivery,
        r#"
        SELECT id AS "id: DeliveryId", webhook_id AS "webhook_id: WebhookId", seq, event_txid || '-' || event_id AS event_id,
            kind, account_id AS "account_id: AccountId", state AS "state: State", attempts,
            CASE WHEN state = 'pending' THEN next_attempt_at END AS next_attempt_at, last_status, last_error, happened_at,
            finished_at
        FROM webhook_deliveries WHERE tenant_id = $1 AND webhook_id = $2 AND id = $3
        "#,
        tenant.0,
        webhook.0,
        delivery.0
    )
    .fetch_optional(&mut *db)
    .await?
    .ok_or(Error::NotFound)
}

/// Queues a test event for this webhook alone.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such webhook, [`Error::Conflict`] if it is disabled.
pub async fn test(of: impl Into<Within<'_>>, webhook: WebhookId) -> Result<Committed<Delivery>> {
    let (mut db, tenant) = of.into().acquire().await?;
    if !super::get(Within::of(&mut db, tenant), webhook).await?.enabled {
        return Err(Conflict::WebhookDisabled.into());
    }
    let delivery = DeliveryId::new();
    sqlx::query!(
        "WITH made AS (
             INSERT INTO webhook_deliveries (id, tenant_id, webhook_id, kind, data, happened_at)
             VALUES ($1, $2, $3, $4, $5, now()) RETURNING webhook_id)
         UPDATE webhooks SET version = version + 1 FROM made WHERE tenant_id = $2 AND id = made.webhook_id",
        delivery.0,
        tenant.0,
        webhook.0,
        TEST,
        json!({"webhook_id": webhook})
    )
    .execute(&mut *db)
    .await?;
    Ok(Committed::new(get(Within::of(&mut db, tenant), webhook, delivery).await?).signal([tenant]))
}

/// Queues a delivery for an immediate attempt, and resets its attempts.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such delivery at this webhook, [`Error::Conflict`] if it was delivered.
pub async fn retry(of: impl Into<Within<'_>>, webhook: WebhookId, delivery: DeliveryId) -> Result<Committed<Delivery>> {
    let (mut db, tenant) = of.into().acquire().await?;
    sqlx::query!(
        "WITH again AS (
             UPDATE webhook_deliveries
             SET state = 'pending', attempts = 0, holds = true, next_attempt_at = now(), finished_at = NULL
             WHERE tenant_id = $1 AND webhook_id = $2 AND id = $3 AND state <> 'delivered' RETURNING webhook_id)
         UPDATE webhooks SET version = version + 1 FROM again WHERE tenant_id = $1 AND id = again.webhook_id",
        tenant.0,
        webhook.0,
        delivery.0
    )
    .execute(&mut *db)
    .await?;
    let delivery = get(Within::of(&mut db, tenant), webhook, delivery).await?;
    match delivery.state {
        State::Delivered => Err(Conflict::AlreadyDelivered.into()),
        State::Pending | State::Failed => Ok(Committed::new(delivery).signal([tenant])),
    }
}

/// Which deliveries to send again.
#[derive(Debug, Clone, Copy)]
pub enum Stretch {
    /// All deliveries that failed for good.
    Failed,
    /// All events from the first instant on and before the second, delivered or not.
    Time(DateTime<Utc>, DateTime<Utc>),
}

/// The result of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// The number of deliveries queued again.
    pub replayed: i64,
    /// If there is more, the beginning of the next time range to replay.
    pub next_since: Option<DateTime<Utc>>,
}

/// Queues deliveries again, about 1,000 at most, oldest first. They hold back no other deliveries and keep their
/// `webhook-id`. Deliveries that are still pending are left unchanged, so that a repeated call sends nothing twice.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such webhook, [`Error::Conflict`] if it is disabled.
pub async fn replay(
    of: impl Into<Within<'_>>,
    webhook: WebhookId,
    stretch: Stretch,
    operator: Operator,
) -> Result<Committed<Replayed>> {
    let (mut db, tenant) = of.into().acquire().await?;
    if !super::get(Within::of(&mut db, tenant), webhook).await?.enabled {
        return Err(Conflict::WebhookDisabled.into());
    }
    let mut transaction = db.begin().await?;
    let (replayed, last) = match stretch {
        Stretch::Failed => again_failed(&mut transaction, tenant, webhook).await?,
        Stretch::Time(since, until) => again_since(&mut transaction, tenant, webhook, since, until).await?,
    };
    if replayed > 0 {
        let woken = sqlx::query!(
            "UPDATE webhooks SET version = version + 1 WHERE tenant_id = $1 AND id = $2",
            tenant.0,
            webhook.0
        );
        woken.execute(&mut *transaction).await?;
    }
    super::noted(&mut transaction, tenant, webhook, operator, "replay").await;
    transaction.commit().await?;
    Ok(Committed::new(Replayed { replayed, next_since: last }).signal([tenant]))
}

async fn again_failed(
    db: &mut PgConnection,
    tenant: TenantId,
    webhook: WebhookId,
) -> Result<(i64, Option<DateTime<Utc>>)> {
    let again = sqlx::query!(
        r#"
        WITH seen AS (
            SELECT id, happened_at, row_number() OVER (ORDER BY seq) AS place FROM webhook_deliveries
            WHERE tenant_id = $1 AND webhook_id = $2 AND state = 'failed' ORDER BY seq LIMIT $3 + 1),
        again AS (
            UPDATE webhook_deliveries d
            SET state = 'pending', attempts = 0, holds = false, next_attempt_at = now(), finished_at = NULL
            FROM seen WHERE d.id = seen.id AND d.state = 'failed' AND seen.place <= $3 RETURNING d.id)
        SELECT (SELECT count(*) FROM again) AS "count!", (SELECT happened_at FROM seen WHERE place > $3) AS next
        "#,
        tenant.0,
        webhook.0,
        REPLAY_MAX
    )
    .fetch_one(db)
    .await?;
    Ok((again.count, again.next))
}

/// Queues the stored events that the webhook carries, up to its cursor. Later events are delivered anyway.
async fn again_since(
    db: &mut PgConnection,
    tenant: TenantId,
    webhook: WebhookId,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<(i64, Option<DateTime<Utc>>)> {
    let again = sqlx::query!(
        r#"
        WITH seen AS (
            SELECT e.txid::text::bigint AS txid, e.id, e.account_id, e.kind, e.data, e.created_at, e.trace
            FROM events e JOIN webhooks h ON h.tenant_id = e.tenant_id AND h.id = $2
            WHERE e.tenant_id = $1 AND e.created_at >= $3 AND e.created_at < $4
              AND (e.txid, e.id) <= (h.cursor_txid::text::xid8, h.cursor_id)
              AND (h.kinds = '{}' OR e.kind = ANY (h.kinds))
            -- what happened at one instant goes together, so that the next stretch begins behind it
            ORDER BY e.created_at FETCH FIRST ($5) ROWS WITH TIES),
        again AS (
            INSERT INTO webhook_deliveries
                (id, tenant_id, webhook_id, event_txid, event_id, account_id, kind, data, happened_at, trace, holds)
            SELECT gen_random_uuid(), $1, $2, txid, id, account_id, kind, data, created_at, trace, false
            FROM seen ORDER BY txid, id
            ON CONFLICT (webhook_id, event_txid, event_id) DO UPDATE
            SET state = 'pending', attempts = 0, holds = false, data = EXCLUDED.data, next_attempt_at = now(), finished_at = NULL
            WHERE webhook_deliveries.state <> 'pending'
            RETURNING id)
        SELECT (SELECT count(*) FROM again) AS "count!", (
            SELECT min(e.created_at) FROM events e JOIN webhooks h ON h.tenant_id = e.tenant_id AND h.id = $2
            WHERE e.tenant_id = $1 AND e.created_at > (SELECT max(created_at) FROM seen) AND e.created_at < $4
              AND (e.txid, e.id) <= (h.cursor_txid::text::xid8, h.cursor_id)
              AND (h.kinds = '{}' OR e.kind = ANY (h.kinds))) AS next
        "#,
        tenant.0,
        webhook.0,
        since,
        until,
        i64::from(REPLAY_MAX)
    )
    .fetch_one(db)
    .await?;
    Ok((again.count, again.next))
}
