//! SQL of `leases`: which worker may act for an account, and under which epoch. It crosses tenants, since workers serve
//! all.

pub mod hand_overs;
pub(crate) mod own;

use std::time::Duration;

use crate::error::Result;
use crate::interval::interval;
use crate::scope::ForAllTenants;
use crate::settings;
use domain::id::{AccountId, WorkerId};

/// The setting that stores the number of accounts that should be live.
const WANTED: &str = "accounts_wanted";

/// A claimed account, with the epoch that fences every earlier owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// The account.
    pub account: AccountId,
    /// Its new epoch.
    pub epoch: i64,
}

/// A claimed account, and how it had become free. The latter is only measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    /// The claim.
    pub claimed: Claimed,
    /// Whether its last owner fell silent. Otherwise the account had been given back, or never had an owner.
    pub silent: bool,
    /// How many seconds the account had no owner: since it was given back, or since the last heartbeat of the silent
    /// owner. `None` if that is not known.
    pub free_s: Option<f64>,
}

/// Claims those of `accounts` that may be claimed: they should be live, unlinked or erased, and their last owner is
/// gone, has stopped, or has been silent for longer than its lease lasts. A living owner never loses an account, and an
/// account that an operator hands over is left to its new owner. With `given_back`, a silent owner counts as living.
///
/// # Errors
/// If the database fails. Then nothing was claimed.
pub async fn claim(
    all: ForAllTenants<'_>,
    worker: WorkerId,
    accounts: &[AccountId],
    given_back: bool,
) -> Result<Vec<Claim>> {
    let ForAllTenants { pool } = all;
    let ids: Vec<uuid::Uuid> = accounts.iter().map(|a| a.0).collect();
    let rows = sqlx::query!(
        r#"
        WITH free AS (
            SELECT l.account_id, l.owner IS NOT NULL AND l.owner <> $1 AS silent,
                   CASE WHEN l.owner IS NULL THEN l.released_at
                        WHEN l.owner <> $1 THEN (SELECT w.last_seen FROM workers w WHERE w.id = l.owner) END AS since
            FROM leases l
            JOIN accounts a ON a.id = l.account_id
            WHERE l.account_id = ANY($2)
              AND a.wanted <> 'offline'
              AND NOT EXISTS (
                    SELECT 1 FROM hand_overs h WHERE h.account_id = l.account_id AND h.epoch = l.epoch AND h.heir <> $1
                        AND h.asked_at > now() - $4::interval)
              AND (l.owner IS NULL OR l.owner = $1 OR NOT EXISTS (
                    SELECT 1 FROM workers w WHERE w.id = l.owner AND (is_alive(w) OR $3 AND w.stopped_at IS NULL)))
            ORDER BY l.account_id
            FOR UPDATE OF l
        )
        UPDATE leases l SET epoch = l.epoch + 1, owner = $1, claimed_at = now()
        FROM free WHERE l.account_id = free.account_id
        RETURNING l.account_id AS "account: AccountId", l.epoch, free.silent AS "silent!",
                  extract(epoch FROM now() - free.since)::float8 AS free_s
        "#,
        worker.0,
        &ids,
        given_back,
        interval(hand_overs::KEPT)?,
    )
    .fetch_all(pool)
    .await?;
    let claims = rows.into_iter().map(|row| {
        let claimed = Claimed { account: row.account, epoch: row.epoch };
        Claim { claimed, silent: row.silent, free_s: row.free_s }
    });
    Ok(claims.collect())
}

/// Up to `limit` accounts that should be live and have had no living owner for `unowned_for`. The order is random, so
/// that workers that look at the same moment try different accounts. An owner keeps its row as long as it owns accounts
/// (`workers::prune`).
///
/// # Errors
/// If the database fails.
pub async fn unowned(all: ForAllTenants<'_>, unowned_for: Duration, limit: i64) -> Result<Vec<AccountId>> {
    let ForAllTenants { pool } = all;
    let rows = sqlx::query_scalar!(
        r#"
        SELECT a.id AS "id: AccountId"
        FROM (
            SELECT account_id FROM leases
            WHERE owner IS NULL AND (released_at IS NULL OR released_at <= now() - $1::interval)
            UNION ALL
            SELECT account_id FROM leases WHERE owner = ANY (ARRAY(
                SELECT id FROM workers
                WHERE last_seen <= now() - make_interval(secs => lease_s) - $1::interval
                   OR stopped_at <= now() - $1::interval))
        ) free
        -- one look per free account, not a read of all accounts: OFFSET keeps it a lookup
        JOIN LATERAL (SELECT id FROM accounts WHERE id = free.account_id AND wanted <> 'offline' OFFSET 0) a ON true
        ORDER BY random()
        LIMIT $2
        "#,
        interval(unowned_for)?,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// The number of accounts that should be live, at most `max_age` old. A count reads all accounts, so one worker counts
/// for all.
///
/// # Errors
/// If the database fails.
pub async fn count_wanted(all: ForAllTenants<'_>, max_age: Duration) -> Result<i64> {
    let ForAllTenants { pool } = all;
    if let Some(count) = settings::get(pool, WANTED, max_age.as_secs_f64()).await? {
        return Ok(count);
    }
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM accounts WHERE wanted <> 'offline'"#)
        .fetch_one(pool)
        .await?;
    settings::put(pool, WANTED, &count).await?;
    Ok(count)
}

/// Up to `limit` accounts of `worker` that may move to another worker. They are online, so that no pairing is
/// disturbed, and those held longest come first, so that no device moves twice in a row.
///
/// # Errors
/// If the database fails.
pub async fn movable(all: ForAllTenants<'_>, worker: WorkerId, limit: i64) -> Result<Vec<AccountId>> {
    let ForAllTenants { pool } = all;
    let rows = sqlx::query_scalar!(
        r#"
        SELECT l.account_id AS "id: AccountId"
        FROM leases l JOIN accounts a ON a.id = l.account_id
        WHERE l.owner = $1 AND a.status = 'connected' AND a.wanted = 'online'
        ORDER BY l.claimed_at, l.account_id
        LIMIT $2
        "#,
        worker.0,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// The accounts that `worker` owns in Postgres, with their epochs.
///
/// # Errors
/// If the database fails.
pub async fn owned_by(all: ForAllTenants<'_>, worker: WorkerId) -> Result<Vec<Claimed>> {
    let ForAllTenants { pool } = all;
    let rows = sqlx::query_as!(
        Claimed,
        r#"SELECT account_id AS "account: AccountId", epoch FROM leases WHERE owner = $1"#,
        worker.0
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// Gives accounts back after their sockets were closed. Accounts of another owner do not change.
///
/// # Errors
/// If the database fails.
pub async fn release(all: ForAllTenants<'_>, worker: WorkerId, accounts: &[AccountId]) -> Result<()> {
    let ForAllTenants { pool } = all;
    let ids: Vec<uuid::Uuid> = accounts.iter().map(|a| a.0).collect();
    sqlx::query!(
        "WITH own AS (SELECT account_id FROM leases WHERE owner = $1 AND account_id = ANY($2) ORDER BY account_id FOR UPDATE)
         UPDATE leases l SET owner = NULL, released_at = now() FROM own WHERE l.account_id = own.account_id",
        worker.0,
        &ids
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Gives back claims that have no session, because a release failed or an answer was lost. Each is given back only
/// under the given epoch, so that a newer claim stays.
///
/// # Errors
/// If the database fails.
pub async fn release_claims(all: ForAllTenants<'_>, worker: WorkerId, claims: &[Claimed]) -> Result<()> {
    let ForAllTenants { pool } = all;
    let ids: Vec<uuid::Uuid> = claims.iter().map(|claim| claim.account.0).collect();
    let epochs: Vec<i64> = claims.iter().map(|claim| claim.epoch).collect();
    sqlx::query!(
        "UPDATE leases l SET owner = NULL, released_at = now() FROM unnest($2::uuid[], $3::bigint[]) AS t(account_id, epoch)
         WHERE l.account_id = t.account_id AND l.epoch = t.epoch AND l.owner = $1",
        worker.0,
        &ids,
        &epochs
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The current state of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The current epoch.
    pub epoch: i64,
    /// The owner.
    pub owner: Option<WorkerId>,
}

/// The lease of an account; `None` if the account is gone.
///
/// # Errors
/// If the database fails.
pub async fn get(all: ForAllTenants<'_>, account: AccountId) -> Result<Option<Lease>> {
    let ForAllTenants { pool } = all;
    let lease = sqlx::query_as!(
        Lease,
        r#"SELECT epoch, owner AS "owner: WorkerId" FROM leases WHERE account_id = $1"#,
        account.0
    );
    Ok(lease.fetch_optional(pool).await?)
}

/// Who waits for an account to be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// A person, who looks at a screen: a phone is being linked, or should be unlinked.
    Person,
    /// A message. A short delay until the right worker has the account does not matter.
    Message,
}

/// Who waits for a claim of the account; `None` if it should be offline or does not exist. The row says it and not the
/// bell, since a bell may be late.
///
/// # Errors
/// If the database fails.
pub async fn waits(all: ForAllTenants<'_>, account: AccountId) -> Result<Option<Waits>> {
    let ForAllTenants { pool } = all;
    let person = sqlx::query_scalar!(
        r#"SELECT status = 'pending' OR wanted IN ('unlinked', 'erased') AS "person!"
        FROM accounts WHERE id = $1 AND wanted <> 'offline'"#,
        account.0
    );
    let person = person.fetch_optional(pool).await?;
    Ok(person.map(|person| if person { Waits::Person } else { Waits::Message }))
}
