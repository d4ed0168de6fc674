//! Rows that wait longer than a bell takes, of all tenants: what the scheduler rings for again, in bounded pages.
//!
//! Each page answers bells in the order of their ids and starts after the given one, so that a long list is walked
//! through and its first rows don't hide the others.

use std::time::Duration;

use uuid::Uuid;

use super::error::Result;
use super::scope::ForAllTenants;
use domain::id::{AccountId, RunId, TenantId, WorkerId};
use domain::job::Bell;

/// Accounts that want to be online, and whose oldest queued message or wish for groups has waited for `age`.
///
/// # Errors
/// When the database does not answer.
pub async fn sends(all: ForAllTenants<'_>, age: Duration, after: Option<Uuid>, limit: i64) -> Result<Vec<Bell>> {
    let ForAllTenants { pool: db } = all;
    let accounts = sqlx::query_scalar!(
        r#"
        SELECT a.id AS "id: AccountId" FROM accounts a
        WHERE a.wanted = 'online' AND a.id > $2
          AND (a.held_until IS NULL OR a.held_until <= now()) AND (a.banned_until IS NULL OR a.banned_until <= now())
          AND (a.groups_wanted_at < now() - make_interval(secs => $1)
               OR a.id IN (SELECT m.account_id FROM messages m
                           WHERE m.state = 'queued' AND m.created_at < now() - make_interval(secs => $1)))
        ORDER BY a.id LIMIT $3
        "#,
        age.as_secs_f64(),
        after.unwrap_or_default(),
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(accounts.into_iter().map(|account| Bell::Send { account }).collect())
}

/// Accounts of `worker` whose oldest queued message or wish for groups has waited for `age`, up to `limit`.
///
/// # Errors
/// When the database does not answer.
pub async fn sends_of(all: ForAllTenants<'_>, worker: WorkerId, age: Duration, limit: i64) -> Result<Vec<AccountId>> {
    let ForAllTenants { pool: db } = all;
    let accounts = sqlx::query_scalar!(
        r#"
        SELECT a.id AS "id: AccountId" FROM leases l JOIN accounts a ON a.id = l.account_id
        WHERE l.owner = $1 AND a.wanted = 'online'
          AND (a.groups_wanted_at < now() - make_interval(secs => $2)
               OR EXISTS (SELECT 1 FROM messages m WHERE m.account_id = a.id AND m.state = 'queued'
                          AND m.created_at < now() - make_interval(secs => $2)))
        LIMIT $3
        "#,
        worker.0,
        age.as_secs_f64(),
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(accounts)
}

/// Accounts that want to be online, were once linked, and have had no live owner for `age`.
///
/// # Errors
/// When the database does not answer.
pub async fn unowned(all: ForAllTenants<'_>, age: Duration, after: Option<Uuid>, limit: i64) -> Result<Vec<Bell>> {
    let ForAllTenants { pool: db } = all;
    let accounts = sqlx::query_scalar!(
        r#"
        SELECT a.id AS "id: AccountId"
        FROM accounts a JOIN leases l ON l.account_id = a.id LEFT JOIN workers w ON w.id = l.owner
        WHERE a.wanted = 'online' AND a.id > $2 AND a.status IN ('connected', 'disconnected')
          AND a.updated_at < now() - make_interval(secs => $1)
          AND (a.banned_until IS NULL OR a.banned_until <= now())
          AND is_alive(w) IS NOT TRUE
        ORDER BY a.id LIMIT $3
        "#,
        age.as_secs_f64(),
        after.unwrap_or_default(),
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(accounts.into_iter().map(|account| Bell::Send { account }).collect())
}

/// Accounts whose pairing was asked for `age` ago, is still within its window, and has neither a code to show nor, if it
/// has one, a live owner; and those at which an answer to WhatsApp's demand for a passkey has not been taken.
///
/// # Errors
/// When the database does not answer.
pub async fn pairings(all: ForAllTenants<'_>, age: Duration, after: Option<Uuid>, limit: i64) -> Result<Vec<Bell>> {
    let ForAllTenants { pool: db } = all;
    let accounts = sqlx::query_scalar!(
        r#"
        SELECT a.id AS "id: AccountId"
        FROM accounts a LEFT JOIN leases l ON l.account_id = a.id LEFT JOIN workers w ON w.id = l.owner
        WHERE a.wanted = 'online' AND a.id > $2 AND a.status = 'pending' AND a.pairing_expires_at > now()
          AND a.updated_at < now() - make_interval(secs => $1)
          AND ((a.qr_text IS NULL AND a.pairing_code IS NULL)
               OR EXISTS (SELECT 1 FROM passkeys p WHERE p.account_id = a.id AND p.epoch = l.epoch
                          AND (p.credential IS NOT NULL OR p.confirmed))
               OR is_alive(w) IS NOT TRUE)
        ORDER BY a.id LIMIT $3
        "#,
        age.as_secs_f64(),
        after.unwrap_or_default(),
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(accounts.into_iter().map(|account| Bell::Pair { account }).collect())
}

/// Accounts that are to be offline but have an owner still, and accounts that are to be logged out or removed, for `age`.
///
/// # Errors
/// When the database does not answer.
pub async fn unpairings(all: ForAllTenants<'_>, age: Duration, after: Option<Uuid>, limit: i64) -> Result<Vec<Bell>> {
    let ForAllTenants { pool: db } = all;
    let accounts = sqlx::query_scalar!(
        r#"
        SELECT a.id AS "id: AccountId" FROM accounts a
        WHERE a.id > $2 AND a.updated_at < now() - make_interval(secs => $1)
          AND (a.wanted IN ('erased', 'unlinked')
               OR (a.wanted = 'offline' AND a.id IN (SELECT account_id FROM leases WHERE owner IS NOT NULL)))
        ORDER BY a.id LIMIT $3
        "#,
        age.as_secs_f64(),
        after.unwrap_or_default(),
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(accounts.into_iter().map(|account| Bell::Unpair { account }).collect())
}

/// Runs that have waited for `age` to be expanded.
///
/// # Errors
/// When the database does not answer.
pub async fn runs(all: ForAllTenants<'_>, age: Duration, after: Option<Uuid>, limit: i64) -> Result<Vec<Bell>> {
    let ForAllTenants { pool: db } = all;
    let runs = sqlx::query_scalar!(
        r#"
        SELECT id AS "id: RunId" FROM runs
        WHERE status = 'pending' AND created_at < now() - make_interval(secs => $1) AND id > $2
        ORDER BY id LIMIT $3
        "#,
        age.as_secs_f64(),
        after.unwrap_or_default(),
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(runs.into_iter().map(|run| Bell::FireReminder { run }).collect())
}

/// Accounts whose device is to be logged out and nobody does it: for `ownerless` without a live owner, or for `age` in all. With
/// each whether it is to be removed afterwards.
///
/// # Errors
/// When the database does not answer.
pub async fn stuck_logouts(
    all: ForAllTenants<'_>,
    ownerless: Duration,
    age: Duration,
    limit: i64,
) -> Result<Vec<(TenantId, AccountId, bool)>> {
    let ForAllTenants { pool: db } = all;
    let accounts = sqlx::query!(
        r#"
        SELECT a.tenant_id AS "tenant: TenantId", a.id AS "account: AccountId", a.wanted = 'erased' AS "remove!"
        FROM accounts a LEFT JOIN leases l ON l.account_id = a.id LEFT JOIN workers w ON w.id = l.owner
        WHERE a.wanted IN ('erased', 'unlinked') AND (
            a.updated_at < now() - make_interval(secs => $2)
            OR (a.updated_at < now() - make_interval(secs => $1) AND is_alive(w) IS NOT TRUE))
        ORDER BY a.updated_at LIMIT $3
        "#,
        ownerless.as_secs_f64(),
        age.as_secs_f64(),
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(accounts.into_iter().map(|row| (row.tenant, row.account, row.remove)).collect())
}
