//! Deleting an account: at once where no phone is linked, else once its device was logged out.

use domain::committed::Committed;
use domain::event::{AccountDeleted, Event};
use domain::id::{AccountId, TenantId};
use sqlx::PgPool;

use super::dependents::{lock_dependents, told};
use crate::audit::{self, Entry, Operator};
use crate::error::{Error, Result};
use crate::events::Events;
use crate::leases::own::lock_lease;
use crate::messages::unsent;
use crate::retry::again;
use crate::runs::supersede;
use crate::scope::Of;

/// How a delete goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// The row is gone.
    Removed,
    /// The owner logs the device out first, and then calls [`remove`].
    LoggingOut,
}

/// Deletes an account from any state: its tenant sees it no more. If no phone is linked the row goes at once,
/// with its groups and reminders; else its owner logs the device out first.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such account, or it has been removed since.
pub async fn delete(of: Of<'_>, account: AccountId, operator: Operator) -> Result<Committed<Deletion>> {
    let Of { pool: db, tenant } = of;
    again(|| try_delete(db, tenant, account, operator)).await
}

async fn try_delete(
    db: &PgPool,
    tenant: TenantId,
    account: AccountId,
    operator: Operator,
) -> Result<Committed<Deletion>> {
    let mut transaction = db.begin().await?;
    let open = lock_dependents(&mut transaction, tenant, account).await?;
    lock_lease(&mut transaction, account).await?;
    let before = sqlx::query!(
        r#"
        SELECT label, wanted, EXISTS (SELECT FROM credentials WHERE account_id = $2) AS "linked!"
        FROM accounts WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE
        "#,
        tenant.0,
        account.0
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Error::NotFound)?;
    unsent::end(&mut transaction, (tenant, account), &open, None, unsent::DELETED).await?;
    let entry = Entry::of_account((tenant, account), &before.label, operator, "delete");
    let deletion = if before.linked {
        let mark = sqlx::query!(
            "UPDATE accounts SET wanted = 'erased', generation = generation + 1, updated_at = now()
             WHERE id = $1 AND wanted <> 'erased'",
            account.0
        );
        mark.execute(&mut *transaction).await?;
        audit::record(&mut transaction, entry.ended("logging_out")).await;
        Deletion::LoggingOut
    } else {
        audit::record(&mut transaction, entry).await;
        sqlx::query!("DELETE FROM accounts WHERE id = $1", account.0).execute(&mut *transaction).await?;
        Deletion::Removed
    };
    if before.wanted != "erased" {
        let deleted = Event::AccountDeleted(AccountDeleted { account_id: account, label: before.label });
        Events::one(tenant, Some(account), &deleted).write(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(told(deletion, tenant, account))
}

/// Ends a delete: removes the row of an account that is wanted `erased`, once its device was logged out or that was given
/// up. `outcome` goes into the audit trail. Answers whether there was such a row; calling it again does no harm.
///
/// # Errors
/// When the database does not do it.
pub async fn remove(of: Of<'_>, account: AccountId, operator: Operator, outcome: &str) -> Result<bool> {
    let Of { pool: db, tenant } = of;
    again(|| try_remove(db, tenant, account, operator, outcome)).await
}

async fn try_remove(
    db: &PgPool,
    tenant: TenantId,
    account: AccountId,
    operator: Operator,
    outcome: &str,
) -> Result<bool> {
    let mut transaction = db.begin().await?;
    let open = lock_dependents(&mut transaction, tenant, account).await?;
    lock_lease(&mut transaction, account).await?;
    supersede::end(&mut transaction, tenant, &open, unsent::DELETED).await?;
    let removed = sqlx::query!(
        "DELETE FROM accounts WHERE tenant_id = $1 AND id = $2 AND wanted = 'erased' RETURNING label",
        tenant.0,
        account.0
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(removed) = removed else { return Ok(false) };
    audit::record(
        &mut transaction,
        Entry::of_account((tenant, account), &removed.label, operator, "remove").ended(outcome),
    )
    .await;
    transaction.commit().await?;
    Ok(true)
}
