//! What the changes of an account's life share.

use domain::committed::Committed;
use domain::id::{AccountId, TenantId};
use domain::job::Bell;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Result;

/// Locks the runs and reminders of an account, in the order in which a run is expanded: runs, then reminders. The
/// caller locks the account after them. Returns the unfinished runs.
pub(super) async fn lock_dependents(
    transaction: &mut PgConnection,
    tenant: TenantId,
    account: AccountId,
) -> Result<Vec<Uuid>> {
    let open = sqlx::query_scalar!(
        "SELECT id FROM runs WHERE tenant_id = $1 AND account_id = $2 AND finished_at IS NULL ORDER BY id FOR UPDATE",
        tenant.0,
        account.0
    );
    open.fetch_all(&mut *transaction).await?;
    let reminders = sqlx::query!(
        "SELECT id FROM reminders WHERE tenant_id = $1 AND account_id = $2 ORDER BY id FOR UPDATE",
        tenant.0,
        account.0
    );
    reminders.fetch_all(&mut *transaction).await?;
    // includes runs that were fired before the reminders were locked; a run that another transaction has locked is
    // skipped, because that transaction will find the account gone
    let open = sqlx::query_scalar!(
        "SELECT id FROM runs WHERE tenant_id = $1 AND account_id = $2 AND finished_at IS NULL ORDER BY id
         FOR UPDATE SKIP LOCKED",
        tenant.0,
        account.0
    );
    Ok(open.fetch_all(transaction).await?)
}

/// Makes the result ring for the account's owner, which must end its session, and signal the tenant.
pub(super) fn told<T>(value: T, tenant: TenantId, account: AccountId) -> Committed<T> {
    Committed::new(value).ring(Bell::Unpair { account }).signal([tenant])
}
