//! Rows of all tenants that have waited for longer than a bell takes. The scheduler rings for them again, in pages of
//! limited size.
//!
//! Each page contains bells in the order of their ids, starting after the given id. So a long list is worked through,
//! and its first rows don't hide the others.

use std::time::Duration;

use uuid::Uuid;

use super::error::Result;
use super::scope::ForAllTenants;
use domain::id::{AccountId, RunId, TenantId, WorkerId};
use domain::job::Bell;

/// Accounts that should be online, and whose oldest queued message or request to sync groups has waited for `age`.
///
/// # Errors
/// If the database fails.
pub async fn sends(all: ForAllTenants<'_>, age: Duration, after: Option<Uuid>, limit: i64) -> Result<Vec<Bell>> {
    let ForAllTenants { pool: db } = all;
    let accounts = sqlx::query!(
        r#"
        SELECT a.id AS "id: AccountId", coalesce(a.groups_wanted_at < now() - make_interval(secs => $1), false) AS "groups!"
        FROM accounts a
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
    let bell = |account, groups| if groups { Bell::Pair { account } } else { Bell::Send { account } };
    Ok(accounts.into_iter().map(|row| bell(row.id, row.groups)).collect())
}

/// Up to `limit` accounts of `worker` whose oldest queued message or request to sync groups has waited for `age`.
///
/// # Errors
/// If the database fails.
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

/// Accounts that should be online, have been linked, and have had no live owner for `age`.
///
/// # Errors
/// If the database fails.
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

/// Accounts with a pairing that was requested more than `age` ago, is not expired, and has no code to show or no live
/// owner. Also accounts with an answer to WhatsApp's passkey request that no session has taken.
///
/// # Errors
/// If the database fails.
pub async fn pairings(all: ForAllTenants<'_>, age: Duration, after: Option<Uuid>, limit: i64) -> Result<Vec<Bell>> {
    let ForAllTenants { pool: db } = all;
    let accounts = sqlx::query_scalar!(
        r#"
        SELECT a.id AS "id: AccountId"
        FROM pairings p JOIN accounts a ON a.id = p.account_id
        LEFT JOIN leases l ON l.account_id = a.id LEFT JOIN workers w ON w.id = l.owner
        WHERE a.wanted = 'online' AND a.id > $2 AND p.window_ends_at > now()
          AND a.updated_at < now() - make_interval(secs => $1)
          AND ((p.qr_text IS NULL AND p.code IS NULL)
               OR EXISTS (SELECT 1 FROM passkeys k WHERE k.account_id = a.id AND k.epoch = l.epoch
                          AND (k.credential IS NOT NULL OR k.confirmed))
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

/// Accounts that for `age` should be offline but still have an owner, or should be logged out or deleted.
///
/// # Errors
/// If the database fails.
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

/// Runs that have waited to be expanded for `age`.
///
/// # Errors
/// If the database fails.
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

/// Accounts whose device should be logged out but was not: for `ownerless` without a live owner, or for `age` in any
/// case. For each, whether it should be deleted afterwards.
///
/// # Errors
/// If the database fails.
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
