//! Accounts whose owner is gone and that nobody else would bring to an end, of all tenants: for the scheduler.

use std::time::Duration;

use uuid::Uuid;

use crate::audit::{self, Entry, Operator};
use crate::error::Result;
use crate::events::Events;
use crate::scope::ForAllTenants;
use crate::{credentials, leases};
use domain::account::Status;
use domain::committed::Committed;
use domain::event::{AccountStatusChanged, Event};
use domain::id::{AccountId, TenantId};

/// Why a pairing ends that nobody has.
const ABANDONED: &str = "the pairing was abandoned";

/// Parks pairings that began more than `age` ago and have no live owner: `unpaired` again, never deleted. Whoever still
/// holds the account is fenced by a higher epoch. Answers whose they are.
///
/// # Errors
/// When the database does not do it.
pub async fn park_stale_pairings(
    all: ForAllTenants<'_>,
    age: Duration,
    limit: i64,
) -> Result<Committed<Vec<TenantId>>> {
    let ForAllTenants { pool: db } = all;
    let mut transaction = db.begin().await?;
    let stale = sqlx::query_scalar!(
        "SELECT l.account_id FROM leases l JOIN accounts a ON a.id = l.account_id LEFT JOIN workers w ON w.id = l.owner
         WHERE a.status = 'pending' AND a.wanted <> 'erased'
           AND a.pairing_expires_at < now() - make_interval(secs => $1)
           AND is_alive(w) IS NOT TRUE
         ORDER BY l.account_id LIMIT $2 FOR UPDATE OF l SKIP LOCKED",
        age.as_secs_f64(),
        limit
    )
    .fetch_all(&mut *transaction)
    .await?;
    let parked = sqlx::query!(
        r#"
        UPDATE accounts SET status = 'unpaired', status_reason = $3, wanted = 'offline',
               generation = generation + 1, pairing_method = NULL,
               pairing_phone = NULL, pairing_expires_at = NULL, qr_text = NULL, qr_number = NULL, qr_expires_at = NULL,
               pairing_code = NULL, updated_at = now()
        -- asked again: a new pairing may have begun since
        WHERE id = ANY($1) AND status = 'pending' AND wanted <> 'erased'
          AND pairing_expires_at < now() - make_interval(secs => $2)
        RETURNING id, tenant_id AS "tenant: TenantId", label
        "#,
        &stale,
        age.as_secs_f64(),
        ABANDONED
    )
    .fetch_all(&mut *transaction)
    .await?;
    let ids: Vec<Uuid> = parked.iter().map(|row| row.id).collect();
    leases::own::take_away(&mut transaction, &ids).await?;
    credentials::forget_all(&mut transaction, &ids).await?;
    let mut events = Events::default();
    for row in &parked {
        let parked = AccountStatusChanged {
            account_id: AccountId(row.id),
            status: Status::Unpaired,
            previous: Status::Pending,
            reason: Some(ABANDONED.to_owned()),
        };
        events.push_of(None, row.tenant, Some(parked.account_id), &Event::AccountStatusChanged(parked));
    }
    events.write(&mut transaction).await?;
    let operator = Operator::System("scheduler");
    let entries: Vec<Entry<'_>> = parked
        .iter()
        .map(|row| Entry::of_account((row.tenant, AccountId(row.id)), &row.label, operator, "pair").ended("abandoned"))
        .collect();
    audit::record_all(&mut transaction, &entries).await;
    transaction.commit().await?;
    Ok(Committed::news_of(parked.into_iter().map(|row| row.tenant).collect()))
}

/// Tells of accounts that say `connected` and whose lease is no living worker's: they become `disconnected`, with a reason and
/// an event. Whoever holds their lease by then is left alone. Answers whose they are.
///
/// # Errors
/// When the database does not do it.
pub async fn tell_lost_sessions(all: ForAllTenants<'_>, limit: i64) -> Result<Committed<Vec<TenantId>>> {
    let ForAllTenants { pool: db } = all;
    let mut transaction = db.begin().await?;
    // from the leases without an owner, so that a look costs nothing where all is well; OFFSET keeps the second step a lookup
    let lost = sqlx::query_scalar!(
        "SELECT l.account_id FROM leases l
         WHERE l.account_id IN (
             SELECT free.account_id
             FROM (
                 SELECT account_id FROM leases WHERE owner IS NULL
                 UNION ALL
                 SELECT account_id FROM leases WHERE owner = ANY (ARRAY(SELECT id FROM workers w WHERE NOT is_alive(w)))
             ) free
             JOIN LATERAL (SELECT FROM accounts WHERE id = free.account_id AND status = 'connected' OFFSET 0) a ON true)
         ORDER BY l.account_id LIMIT $1 FOR UPDATE OF l SKIP LOCKED",
        limit
    )
    .fetch_all(&mut *transaction)
    .await?;
    let told = sqlx::query!(
        r#"
        WITH lost AS (
            -- asked again: a worker may have claimed it between the look and the lock
            SELECT a.id, s.status, s.status_reason FROM accounts a JOIN account_states s ON s.id = a.id
            WHERE a.id = ANY($1) AND a.status = 'connected' AND s.status <> 'connected'
            ORDER BY a.id FOR UPDATE OF a
        )
        UPDATE accounts a SET status = lost.status, status_reason = lost.status_reason, disconnected_at = now(),
            updated_at = now()
        FROM lost WHERE a.id = lost.id
        RETURNING a.id AS "id: AccountId", a.tenant_id AS "tenant: TenantId", a.status AS "status: Status", a.status_reason
        "#,
        &lost
    )
    .fetch_all(&mut *transaction)
    .await?;
    let mut events = Events::default();
    for row in &told {
        let lost = AccountStatusChanged {
            account_id: row.id,
            status: row.status,
            previous: Status::Connected,
            reason: row.status_reason.clone(),
        };
        events.push_of(None, row.tenant, Some(row.id), &Event::AccountStatusChanged(lost));
    }
    events.write(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Committed::news_of(told.into_iter().map(|row| row.tenant).collect()))
}
