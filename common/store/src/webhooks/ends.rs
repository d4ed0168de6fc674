//! The results of attempts, and their effects on the webhook.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::events::Events;
use crate::interval::interval;
use crate::scope::{Of, Within};
use domain::event::{Event, WebhookDisabled};
use domain::id::{DeliveryId, WebhookId};
use domain::webhook::retry::{self, Verdict};

/// Records a 2xx answer: the delivery has ended, and its data is erased. If the receiver was down for long, the same
/// statement schedules all waiting deliveries at once. Returns the seconds since the event and the webhook's
/// [`Held::version`](super::follow::Held::version); `None` if another worker was first.
///
/// # Errors
/// If the database fails. Then the delivery stays pending and is posted again.
pub async fn delivered(of: Of<'_>, delivery: DeliveryId, status: u16) -> Result<Option<(f64, Option<i64>)>> {
    let Of { pool: db, tenant, .. } = of;
    let row = sqlx::query!(
        r#"
        WITH done AS (
            UPDATE webhook_deliveries SET state = 'delivered', attempts = attempts + 1, last_status = $3, last_error = NULL,
                data = NULL, finished_at = now()
            WHERE tenant_id = $1 AND id = $2 AND state = 'pending'
            RETURNING webhook_id, happened_at),
        back AS (
            SELECT h.id FROM webhooks h JOIN done ON h.id = done.webhook_id
            WHERE h.tenant_id = $1 AND h.failures + h.refusals >= $4 AND h.failing_since <= now() - $5::interval),
        at_once AS (
            UPDATE webhook_deliveries d SET next_attempt_at = now() FROM back
            WHERE d.tenant_id = $1 AND d.webhook_id = back.id AND d.id <> $2 AND d.state = 'pending'
              AND d.next_attempt_at > now()),
        well AS (
            UPDATE webhooks SET failures = 0, refusals = 0, failing_since = NULL
            FROM done WHERE tenant_id = $1 AND id = done.webhook_id AND failing_since IS NOT NULL)
        SELECT extract(epoch FROM now() - happened_at)::float8 AS "seconds!",
            (SELECT version FROM webhooks h WHERE h.tenant_id = $1 AND h.id = done.webhook_id) AS version
        FROM done
        "#,
        tenant.0,
        delivery.0,
        i32::from(status),
        retry::DOWN_AFTER,
        interval(retry::OUTAGE_MIN)?
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.seconds, row.version)))
}

/// Records a failed attempt, which follows `attempts` others. If `counts`, it adds to the webhook's failures; otherwise
/// the receiver refused this event. The failures are reset when the last pending delivery has failed for good. Returns
/// the webhook's [`Held::version`](super::follow::Held::version); `None` if another worker was first.
///
/// # Errors
/// If the database fails. Then the delivery does not change.
pub async fn failed(
    of: Of<'_>,
    (delivery, attempts): (DeliveryId, i32),
    (status, error): (Option<u16>, &str),
    verdict: Verdict,
    counts: bool,
) -> Result<Option<i64>> {
    let Of { pool: db, tenant, .. } = of;
    let version = sqlx::query_scalar!(
        r#"
        WITH done AS (
            UPDATE webhook_deliveries SET attempts = $7, holds = $8, last_status = $4, last_error = $5,
                state = CASE WHEN $6::float8 IS NULL THEN 'failed' ELSE 'pending' END,
                next_attempt_at = now() + make_interval(secs => coalesce($6::float8, 0)),
                finished_at = CASE WHEN $6::float8 IS NULL THEN now() END
            WHERE tenant_id = $1 AND id = $2 AND state = 'pending' AND attempts = $3
            RETURNING webhook_id),
        at AS (
            SELECT webhook_id, $6::float8 IS NULL AND NOT EXISTS (
                SELECT FROM webhook_deliveries o
                WHERE o.tenant_id = $1 AND o.webhook_id = done.webhook_id AND o.state = 'pending' AND o.id <> $2) AS last
            FROM done)
        UPDATE webhooks SET
            failures = CASE WHEN at.last THEN 0 WHEN $9 THEN failures + 1 ELSE failures END,
            refusals = CASE WHEN at.last THEN 0 WHEN $9 THEN refusals ELSE refusals + 1 END,
            failing_since = CASE WHEN at.last THEN NULL ELSE coalesce(failing_since, now()) END
        FROM at WHERE tenant_id = $1 AND id = at.webhook_id
        RETURNING version
        "#,
        tenant.0,
        delivery.0,
        attempts,
        status.map(i32::from),
        error,
        verdict.again_in.map(|wait| wait.as_secs_f64()),
        verdict.attempts,
        verdict.holds,
        counts
    )
    .fetch_optional(db)
    .await?;
    Ok(version)
}

/// Schedules only the oldest waiting delivery at once, to try a receiver that seems to be back.
///
/// # Errors
/// If the database fails.
pub async fn try_one(of: Of<'_>, webhook: WebhookId) -> Result<()> {
    let Of { pool: db, tenant, .. } = of;
    sqlx::query!(
        "UPDATE webhook_deliveries SET next_attempt_at = now() WHERE state = 'pending' AND id = (
             SELECT id FROM webhook_deliveries WHERE tenant_id = $1 AND webhook_id = $2 AND state = 'pending'
             ORDER BY holds DESC, seq LIMIT 1)",
        tenant.0,
        webhook.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Schedules all waiting deliveries at once, because the receiver was replaced or is said to be back.
///
/// # Errors
/// If the database fails.
pub async fn try_at_once(of: impl Into<Within<'_>>, webhook: WebhookId) -> Result<()> {
    let (mut db, tenant) = of.into().acquire().await?;
    sqlx::query!(
        "UPDATE webhook_deliveries SET next_attempt_at = now()
         WHERE tenant_id = $1 AND webhook_id = $2 AND state = 'pending' AND next_attempt_at > now()",
        tenant.0,
        webhook.0
    )
    .execute(&mut *db)
    .await?;
    Ok(())
}

/// Disables a webhook and writes an event about it. `reason` is `gone`, or `failing` if it has failed for
/// `failing_for`. Returns false if an attempt has succeeded meanwhile.
///
/// # Errors
/// If the database fails.
pub async fn disable(of: Of<'_>, webhook: WebhookId, reason: &str, failing_for: Duration) -> Result<bool> {
    let Of { pool: db, tenant, .. } = of;
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
    let disabled = Event::WebhookDisabled(WebhookDisabled { webhook_id: webhook, reason: reason.to_owned() });
    Events::one(tenant, None, &disabled).write(&mut transaction).await?;
    transaction.commit().await.map_err(Error::from)?;
    Ok(true)
}
