//! SQL of `hand_overs`: an operator moves an account from one worker to another. It rests on the lease's own rules: the owner
//! closes its socket before it gives the account back, and the heir claims it as any other, under a new epoch.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::interval::interval;
use crate::scope::ForAllTenants;
use domain::id::{AccountId, WorkerId};

/// How long an account that was given back is kept for its heir.
pub const KEPT: Duration = Duration::from_secs(30);

/// What a worker is asked to do with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandOver {
    /// Which.
    pub account: AccountId,
    /// Under which epoch this was asked.
    pub epoch: i64,
    /// It has an owner: this worker, which is to give it back. Else it is free, and this worker is the heir.
    pub owned: bool,
}

/// Why nothing was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No worker has the account.
    #[error("no worker has the account just now: whoever has room takes it if it should be live")]
    WithoutOwner,
    /// The account is where it is to be handed over to.
    #[error("that worker has the account already")]
    AlreadyThere,
    /// The worker that is to take the account can't.
    #[error("the worker that should take it is not alive, or about to stop")]
    NoHeir,
}

/// Asks the present owner to give an account back, and the heir to take it. Answers who the owner is, or why nothing was asked.
///
/// # Errors
/// [`Error::NotFound`] when there is no such account; else when the database fails.
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

/// What this worker is asked to give back, and to take. A look of some rows in an index.
///
/// # Errors
/// When the database fails.
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
