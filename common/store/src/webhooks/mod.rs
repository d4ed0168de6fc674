//! Webhooks: where a tenant's events are posted to. [`deliveries`] has the tenant's view of deliveries. The worker's view
//! is in [`follow`], [`look`] (new events), [`settle`] (what became of them) and [`ends`] (results of later attempts).

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};

use crate::audit::{self, About, Entry, Operator};
use crate::error::{Error, Result};
use crate::events;
use crate::scope::{Of, Within};
use domain::committed::Committed;
use domain::conflict::Conflict;
use domain::id::{TenantId, WebhookId};
use domain::webhook::{MAX_PER_TENANT, signature};

pub mod deliveries;
pub mod ends;
pub mod follow;
pub mod look;
pub mod owner;
mod prune;
pub mod settle;

pub use prune::{erase_old_secrets, fail_left_deliveries, prune_deliveries};

/// For how many hours after a rotation the previous secret also signs.
const PREVIOUS_SIGNS_HOURS: i32 = 24;

/// A webhook without its secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// The address to which events are posted.
    pub url: String,
    /// The kinds of events; empty: all.
    pub kinds: Vec<String>,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Why Switchboard disabled it: `failing` (no attempt has succeeded for three days) or `gone` (the receiver
    /// answered 410). `None` if the tenant disabled it.
    pub disabled_reason: Option<String>,
    /// The number of attempts that failed or were refused since the last success.
    pub failures: i32,
    /// When the failures began.
    pub failing_since: Option<DateTime<Utc>>,
    /// The id of the key that created it; `None` if that is not known.
    pub created_by: Option<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A change of a webhook. `None` means no change.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The address.
    pub url: Option<String>,
    /// The kinds of events.
    pub kinds: Option<Vec<String>>,
    /// Whether it is enabled. A webhook that is enabled again continues where it stopped.
    pub enabled: Option<bool>,
}

/// Creates a webhook that carries events from now on. Returns it with its secret.
///
/// # Errors
/// [`Error::Conflict`] if the tenant has [`MAX_PER_TENANT`] already.
pub async fn create(
    of: impl Into<Within<'_>>,
    url: &str,
    kinds: &[String],
    operator: Operator,
) -> Result<(Webhook, String)> {
    let (mut db, tenant) = of.into().acquire().await?;
    let secret = signature::generate();
    let cursor = events::end(Within::of(&mut db, tenant)).await?;
    let mut transaction = db.begin().await?;
    // one transaction at a time, so that the count below is right; events and accounts can still be written
    sqlx::query!("SELECT id FROM tenants WHERE id = $1 FOR NO KEY UPDATE", tenant.0)
        .fetch_optional(&mut *transaction)
        .await?
        .ok_or(Error::NotFound)?;
    let webhook = sqlx::query_as!(
        Webhook,
        r#"
        INSERT INTO webhooks (id, tenant_id, url, kinds, secret, cursor_txid, cursor_id, created_by)
        SELECT $1, $2, $3, $4, $5, $6, $7, $9 WHERE (SELECT count(*) FROM webhooks WHERE tenant_id = $2) < $8
        RETURNING id AS "id: WebhookId", url, kinds, enabled, disabled_reason, failures + refusals AS "failures!", failing_since, created_by, created_at, updated_at
        "#,
        WebhookId::new().0,
        tenant.0,
        url,
        kinds,
        secret,
        cursor.txid,
        cursor.id,
        MAX_PER_TENANT,
        operator.to_string()
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Conflict::TooManyWebhooks { at_most: MAX_PER_TENANT })?;
    noted(&mut transaction, tenant, webhook.id, operator, "create").await;
    transaction.commit().await?;
    Ok((webhook, secret))
}

/// A page of a tenant's webhooks, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn list(of: Of<'_>, after: Option<(DateTime<Utc>, uuid::Uuid)>, limit: i64) -> Result<Vec<Webhook>> {
    let Of { pool: db, tenant, .. } = of;
    let (at, id) = after.unzip();
    let webhooks = sqlx::query_as!(
        Webhook,
        r#"
        SELECT id AS "id: WebhookId", url, kinds, enabled, disabled_reason, failures + refusals AS "failures!", failing_since, created_by, created_at, updated_at
        FROM webhooks
        WHERE tenant_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3::uuid))
        ORDER BY created_at, id LIMIT $4
        "#,
        tenant.0,
        at,
        id,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(webhooks)
}

/// One webhook.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such webhook.
pub async fn get(of: impl Into<Within<'_>>, webhook: WebhookId) -> Result<Webhook> {
    let (mut db, tenant) = of.into().acquire().await?;
    sqlx::query_as!(
        Webhook,
        r#"
        SELECT id AS "id: WebhookId", url, kinds, enabled, disabled_reason, failures + refusals AS "failures!", failing_since, created_by, created_at, updated_at
        FROM webhooks WHERE tenant_id = $1 AND id = $2
        "#,
        tenant.0,
        webhook.0
    )
    .fetch_optional(&mut *db)
    .await?
    .ok_or(Error::NotFound)
}

/// Changes a webhook. A new address, or enabling it, resets its failures and schedules all waiting deliveries at once.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such webhook.
pub async fn change(of: Of<'_>, webhook: WebhookId, change: &Change, operator: Operator) -> Result<Committed<Webhook>> {
    let Of { pool: db, tenant, .. } = of;
    let mut transaction = db.begin().await?;
    let anew = change.enabled == Some(true) || change.url.is_some();
    let changed = sqlx::query_as!(
        Webhook,
        r#"
        UPDATE webhooks SET url = coalesce($3, url), kinds = coalesce($4, kinds), enabled = coalesce($5, enabled),
            disabled_reason = CASE WHEN $5 IS NULL THEN disabled_reason END,
            failures = CASE WHEN $6 THEN 0 ELSE failures END,
            refusals = CASE WHEN $6 THEN 0 ELSE refusals END, failing_since = CASE WHEN $6 THEN NULL ELSE failing_since END,
            version = version + 1, updated_at = now()
        WHERE tenant_id = $1 AND id = $2
        RETURNING id AS "id: WebhookId", url, kinds, enabled, disabled_reason, failures + refusals AS "failures!", failing_since, created_by, created_at, updated_at
        "#,
        tenant.0,
        webhook.0,
        change.url,
        change.kinds.as_deref(),
        change.enabled,
        anew
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Error::NotFound)?;
    if anew {
        ends::try_at_once(Within::of(&mut transaction, tenant), webhook).await?;
    }
    noted(&mut transaction, tenant, webhook, operator, "change").await;
    transaction.commit().await?;
    Ok(Committed::new(changed).signal([tenant]))
}

/// Gives a webhook a new secret and returns it. The previous secret also signs for 24 hours.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such webhook.
pub async fn rotate_secret(
    of: impl Into<Within<'_>>,
    webhook: WebhookId,
    operator: Operator,
) -> Result<(Webhook, String)> {
    let (mut db, tenant) = of.into().acquire().await?;
    let secret = signature::generate();
    let mut transaction = db.begin().await?;
    let webhook = sqlx::query_as!(
        Webhook,
        r#"
        UPDATE webhooks SET previous_secret = secret, previous_secret_until = now() + make_interval(hours => $4), secret = $3,
            updated_at = now()
        WHERE tenant_id = $1 AND id = $2
        RETURNING id AS "id: WebhookId", url, kinds, enabled, disabled_reason, failures + refusals AS "failures!", failing_since, created_by, created_at, updated_at
        "#,
        tenant.0,
        webhook.0,
        secret,
        PREVIOUS_SIGNS_HOURS
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Error::NotFound)?;
    noted(&mut transaction, tenant, webhook.id, operator, "rotate_secret").await;
    transaction.commit().await?;
    Ok((webhook, secret))
}

/// Deletes a webhook with all its deliveries.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such webhook.
pub async fn delete(of: Of<'_>, webhook: WebhookId, operator: Operator) -> Result<()> {
    let Of { pool: db, tenant, .. } = of;
    let mut transaction = db.begin().await?;
    let gone = sqlx::query!("DELETE FROM webhooks WHERE tenant_id = $1 AND id = $2", tenant.0, webhook.0);
    if gone.execute(&mut *transaction).await?.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    noted(&mut transaction, tenant, webhook, operator, "delete").await;
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn noted(
    transaction: &mut PgConnection,
    tenant: TenantId,
    id: WebhookId,
    operator: Operator,
    action: &str,
) {
    let entry = Entry { tenant: Some(tenant), about: About::Webhook(id), operator, action, outcome: "ok" };
    audit::record(transaction, entry).await;
}
