//! SQL of `hand_overs`: an operator moves an account from one worker to another. The rules of leases apply: the owner
//! closes its socket before it gives the account back, and the new owner claims it under a new epoch.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::interval::interval;
use crate::scope::ForAllTenants;
use domain::id::{AccountId, WorkerId};

/// How long an account that was given back is reserved for the new owner.
pub const KEPT: Duration = Duration::from_secs(30);

/// A worker's part in a hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandOver {
    /// The account.
    pub account: AccountId,
    /// The epoch when the operator asked.
    pub epoch: i64,
    /// True: this worker owns the account and must give it back. False: the account is free, and this worker should
    /// claim it.
    pub owned: bool,
}

/// Why a hand-over was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No worker owns the account.
    #[error("no worker has the account just now: whoever has room takes it if it should be live")]
    WithoutOwner,
    /// The given worker owns the account already.
    #[error("that worker has the account already")]
    AlreadyThere,
    /// The given worker can't take the account.
    #[error("the worker that should take it is not alive, or about to stop")]
    NoHeir,
}

/// Asks the current owner to give an account back, and `heir` to take it. Returns the owner, or why it was refused.
///
/// # Errors
/// [`Error::NotFound`] if there is no such account; otherwise if the database fails.
pub async fn ask(
    all: ForAllTenants<'_>,
    account: AccountId,
    heir: WorkerId,
) -> Result<std::result::Result<WorkerId, Refused>> {
    let ForAllTenants { pool } = all;
    sqlx::query!("DELETE FROM hand_overs WHERE asked_at < now() - interval '1 hour'").execute(pool).await?;
    let owner = sqlx::query_scalar!(
        r#"
        INSERT INTO hand_overs (account_id, epoch, owner, heir)
        SELECT l.account_id, l.epoch, l.owner, $2 FROM leases l
        WHERE l.account_id = $1 AND l.owner IS NOT NULL AND l.owner <> $2
          AND EXISTS (SELECT FROM workers w WHERE w.id = $2 AND is_alive(w) AND NOT w.leaving)
        ON CONFLICT (account_id) DO UPDATE
            SET epoch = EXCLUDED.epoch, owner = EXCLUDED.owner, heir = EXCLUDED.heir, asked_at = now()
        RETURNING owner AS "owner: WorkerId"
        "#,
        account.0,
        heir.0
    )
    .fetch_optional(pool)
    .await?;
    if let Some(owner) = owner {
        return Ok(Ok(owner));
    }
    let found = sqlx::query!("SELECT owner FROM leases WHERE account_id = $1", account.0)
        .fetch_optional(pool)
        .await?
        .ok_or(Error::NotFound)?;
    Ok(Err(match found.owner {
        None => Refused::WithoutOwner,
        Some(owner) if owner == heir.0 => Refused::AlreadyThere,
        Some(_) => Refused::NoHeir,
    }))
}

/// The accounts that this worker should give back or take. It reads only a few index entries.
///
/// # Errors
/// If the database fails.
pub async fn of(all: ForAllTenants<'_>, worker: WorkerId) -> Result<Vec<HandOver>> {
    let ForAllTenants { pool } = all;
    let rows = sqlx::query_as!(
        HandOver,
        r#"
        SELECT h.account_id AS "account: AccountId", h.epoch, l.owner IS NOT NULL AS "owned!"
        FROM hand_overs h JOIN leases l ON l.account_id = h.account_id AND l.epoch = h.epoch
        WHERE (h.owner = $1 AND l.owner = $1)
           OR (h.heir = $1 AND l.owner IS NULL AND h.asked_at > now() - $2::interval)
        "#,
        worker.0,
        interval(KEPT)?
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}
