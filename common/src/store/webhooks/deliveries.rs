//! Deliveries as a tenant sees them: what is on its way to a webhook, and what became of it.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;

use crate::id::{AccountId, DeliveryId, TenantId, WebhookId};
use crate::store::{Db, Error, Result};
use crate::webhook::TEST;

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = DeliveryState)]
pub enum State {
    /// It waits for its next attempt.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// It is not tried again: all attempts have failed, or it was given up.
    Failed,
}

/// A delivery, without the event's data.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Delivery {
    /// Its id; the receiver sees it as `webhook-id`, the same at each attempt.
    pub id: DeliveryId,
    /// Where to.
    pub webhook_id: WebhookId,
    /// Its place in the list.
    #[serde(skip)]
    pub seq: i64,
    /// The event's id; null for a test.
    #[schema(example = "7421-93")]
    pub event_id: Option<String>,
    /// The event's kind.
    #[schema(example = "account.status_changed")]
    pub kind: String,
    /// At which account it happened, if at one.
    pub account_id: Option<AccountId>,
    /// How far it is.
    pub state: State,
    /// Attempts so far, without those that met a limit of the receiver's rate.
    pub attempts: i32,
    /// When it is tried next, at the soonest; null when it has ended.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The HTTP status that the last attempt was answered with.
    pub last_status: Option<i32>,
    /// Why the last attempt failed: `status`, `timeout`, `name`, `address`, `connect`, `tls` or `http`; or why it was given up:
    /// `overflow` (too many that were refused wait) or `expired` (nobody could try it for days).
    pub last_error: Option<String>,
    /// When the event happened.
    pub happened_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A page of a webhook's deliveries, newest first; only those in one state, if given.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such webhook.
pub async fn list(
    db: &PgPool,
    tenant: TenantId,
    webhook: WebhookId,
    state: Option<State>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Delivery>> {
    super::get(db, tenant, webhook).await?;
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
/// [`Error::NotFound`] when the tenant has no such delivery at this webhook.
pub async fn get(
    db: impl Into<Db<'_>>,
    tenant: TenantId,
    webhook: WebhookId,
    delivery: DeliveryId,
) -> Result<Delivery> {
    let mut db = db.into().acquire().await?;
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

/// Puts a test on its way, to this webhook alone.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such webhook, [`Error::Conflict`] when it is disabled.
pub async fn test(db: impl Into<Db<'_>>, tenant: TenantId, webhook: WebhookId) -> Result<Delivery> {
    let mut db = db.into().acquire().await?;
    if !super::get(&mut *db, tenant, webhook).await?.enabled {
        return Err(Error::Conflict("The webhook is disabled: enable it first".to_owned()));
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
    get(&mut *db, tenant, webhook, delivery).await
}

/// Tries a delivery again at once, with all its attempts before it.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such delivery at this webhook, [`Error::Conflict`] when it was delivered.
pub async fn retry(
    db: impl Into<Db<'_>>,
    tenant: TenantId,
    webhook: WebhookId,
    delivery: DeliveryId,
) -> Result<Delivery> {
    let mut db = db.into().acquire().await?;
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
    let delivery = get(&mut *db, tenant, webhook, delivery).await?;
    match delivery.state {
        State::Delivered => Err(Error::Conflict("It was delivered already".to_owned())),
        State::Pending | State::Failed => Ok(delivery),
    }
}
