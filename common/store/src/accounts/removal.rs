//! Deleting an account: at once if no phone is linked, otherwise after its device was logged out.

use domain::account::Status;
use domain::account::life::{Event, State, Step, Wanted, decide};
use domain::committed::Committed;
use domain::event::{self, AccountDeleted};
use domain::id::{AccountId, TenantId};
use sqlx::{PgConnection, PgPool};

use super::dependents::{lock_dependents, told};
use crate::audit::{self, Entry, Operator};
use crate::error::{Error, Result};
use crate::events::Events;
use crate::leases::own::lock_lease;
use crate::messages::unsent;
use crate::retry::again;
use crate::runs::supersede;
use crate::scope::Of;

/// What happens to a deleted account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// The row is removed.
    Removed,
    /// The owner logs the device out first, and then calls [`remove`].
    LoggingOut,
}

/// Deletes an account from any state. Its tenant does not see it any more. If no credentials are stored, the row is
/// removed at once, with its groups and reminders. Otherwise its owner logs the device out first.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account, or it has been removed since.
pub async fn delete(of: Of<'_>, account: AccountId, operator: Operator) -> Result<Committed<Deletion>> {
    let Of { pool: db, tenant, .. } = of;
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
    let before = lock(&mut transaction, tenant, account).await?.ok_or(Error::NotFound)?;
    let step = decide(before.state(), Event::Delete { stored: before.stored })?;
    unsent::end(&mut transaction, (tenant, account), &open, None, unsent::DELETED).await?;
    let entry = Entry::of_account((tenant, account), &before.label, operator, "delete");
    let deletion = if step == Step::Gone {
        audit::record(&mut transaction, entry).await;
        sqlx::query!("DELETE FROM accounts WHERE id = $1", account.0).execute(&mut *transaction).await?;
        Deletion::Removed
    } else {
        if let Some(after) = step.state() {
            let mark = sqlx::query!(
                "UPDATE accounts SET wanted = $2, generation = generation + 1, updated_at = now() WHERE id = $1",
                account.0,
                after.wanted.as_str()
            );
            mark.execute(&mut *transaction).await?;
        }
        audit::record(&mut transaction, entry.ended("logging_out")).await;
        Deletion::LoggingOut
    };
    if before.wanted != Wanted::Erased {
        let deleted = event::Event::AccountDeleted(AccountDeleted { account_id: account, label: before.label });
        Events::one(tenant, Some(account), &deleted).write(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(told(deletion, tenant, account))
}

/// An account's row before the change.
struct Before {
    label: String,
    status: Status,
    wanted: Wanted,
    /// Whether credentials of a device are stored. A phone may list the device.
    stored: bool,
}

impl Before {
    const fn state(&self) -> State {
        State { status: self.status, wanted: self.wanted }
    }
}

/// Locks an account's row, even if it is hidden from its tenant. `None` if there is none.
async fn lock(transaction: &mut PgConnection, tenant: TenantId, account: AccountId) -> Result<Option<Before>> {
    let before = sqlx::query_as!(
        Before,
        r#"
        SELECT label, status AS "status: Status", wanted AS "wanted: Wanted",
            EXISTS (SELECT FROM credentials WHERE account_id = $2) AS "stored!"
        FROM accounts WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE
        "#,
        tenant.0,
        account.0
    );
    Ok(before.fetch_optional(transaction).await?)
}

/// Ends a delete: removes the row of an account that is wanted `erased`, after its device was logged out or the logout
/// was given up. `outcome` goes into the audit trail. Returns false if there is no such row, so a second call does no
/// harm.
///
/// # Errors
/// If the database fails.
pub async fn remove(of: Of<'_>, account: AccountId, operator: Operator, outcome: &str) -> Result<bool> {
    let Of { pool: db, tenant, .. } = of;
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
    let Some(before) = lock(&mut transaction, tenant, account).await? else { return Ok(false) };
    if decide(before.state(), Event::DeleteOver)? != Step::Gone {
        return Ok(false);
    }
    supersede::end(&mut transaction, tenant, &open, unsent::DELETED).await?;
    sqlx::query!("DELETE FROM accounts WHERE id = $1", account.0).execute(&mut *transaction).await?;
    let entry = Entry::of_account((tenant, account), &before.label, operator, "remove").ended(outcome);
    audit::record(&mut transaction, entry).await;
    transaction.commit().await?;
    Ok(true)
}
