//! What several steps of an account's life share.

use domain::committed::Committed;
use domain::id::{AccountId, TenantId};
use domain::job::Bell;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Result;

/// Locks what goes with an account, in the order in which a run is expanded: runs, reminders, and only then the account.
/// Answers the runs that are not over.
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
    // what fired before the reminders were locked; one that is locked now is about to find the account gone
    let open = sqlx::query_scalar!(
        "SELECT id FROM runs WHERE tenant_id = $1 AND account_id = $2 AND finished_at IS NULL ORDER BY id
         FOR UPDATE SKIP LOCKED",
        tenant.0,
        account.0
    );
    Ok(open.fetch_all(transaction).await?)
}

/// The owner of an account has to end its session, and its tenant has news.
pub(super) fn told<T>(value: T, tenant: TenantId, account: AccountId) -> Committed<T> {
    Committed::new(value).ring(Bell::Unpair { account }).signal([tenant])
}
