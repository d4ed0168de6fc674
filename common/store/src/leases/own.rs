//! Changes of leases within the transactions of other modules.

use domain::id::{AccountId, TenantId, WorkerId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::{Error, Result};

/// Creates the lease of a new account, without an owner.
///
/// # Errors
/// If the database fails.
pub(crate) async fn create(transaction: &mut PgConnection, account: AccountId) -> Result<()> {
    sqlx::query!("INSERT INTO leases (account_id) VALUES ($1)", account.0).execute(transaction).await?;
    Ok(())
}

/// Raises the epoch, which fences the current owner.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account.
pub(crate) async fn raise(transaction: &mut PgConnection, tenant: TenantId, account: AccountId) -> Result<()> {
    let fenced = sqlx::query!(
        "UPDATE leases l SET epoch = l.epoch + 1 FROM accounts a
         WHERE l.account_id = a.id AND a.tenant_id = $1 AND a.id = $2 AND a.wanted <> 'erased'",
        tenant.0,
        account.0
    )
    .execute(transaction)
    .await?;
    if fenced.rows_affected() == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Locks the lease row. This comes before a lock of the account's row, so that it can't deadlock with a session that
/// writes under its fence.
pub(crate) async fn lock_lease(transaction: &mut PgConnection, account: AccountId) -> Result<()> {
    let lease = sqlx::query!("SELECT epoch FROM leases WHERE account_id = $1 FOR UPDATE", account.0);
    lease.fetch_optional(transaction).await?;
    Ok(())
}

/// Takes these accounts away from their owners and fences them.
///
/// # Errors
/// If the database fails.
pub(crate) async fn take_away(transaction: &mut PgConnection, accounts: &[Uuid]) -> Result<()> {
    sqlx::query!("UPDATE leases SET epoch = epoch + 1, owner = NULL WHERE account_id = ANY($1)", accounts)
        .execute(transaction)
        .await?;
    Ok(())
}

/// Gives back all accounts of a worker. Returns how many.
///
/// # Errors
/// If the database fails.
pub(crate) async fn give_back_all(transaction: &mut PgConnection, worker: WorkerId) -> Result<u64> {
    let given = sqlx::query!(
        "WITH own AS (SELECT account_id FROM leases WHERE owner = $1 ORDER BY account_id FOR UPDATE)
         UPDATE leases l SET owner = NULL, released_at = now() FROM own WHERE l.account_id = own.account_id",
        worker.0
    )
    .execute(transaction)
    .await?;
    Ok(given.rows_affected())
}
