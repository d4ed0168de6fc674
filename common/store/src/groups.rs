//! Groups of an account, as WhatsApp last told them (R35).

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{Error, Result};
use domain::account::Status;
use domain::conflict::Conflict;
use domain::id::{AccountId, TenantId};

/// A group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its address: what `to` of a message takes.
    pub jid: String,
    /// Its name.
    pub subject: String,
    /// How many take part.
    pub size: i32,
    /// Whether this account may write to it.
    pub can_post: bool,
    /// When WhatsApp last told.
    pub synced_at: DateTime<Utc>,
}

/// A page of an account's groups, in the order of their addresses.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such account.
pub async fn list(
    db: &PgPool,
    tenant: TenantId,
    account: AccountId,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Group>> {
    super::accounts::get(db, tenant, account).await?;
    let groups = sqlx::query_as!(
        Group,
        r#"
        SELECT jid, subject, size, can_post, synced_at FROM groups
        WHERE tenant_id = $1 AND account_id = $2 AND ($3::text IS NULL OR jid > $3)
        ORDER BY jid LIMIT $4
        "#,
        tenant.0,
        account.0,
        after,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(groups)
}

/// Asks for the groups to be read anew. Afterwards ring `Send`: the owner looks at the row.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such account, [`Conflict::NotConnected`] when no phone is linked.
pub async fn want_sync(db: &PgPool, tenant: TenantId, account: AccountId) -> Result<()> {
    let status = sqlx::query_scalar!(
        r#"
        WITH asked AS (
            UPDATE accounts SET groups_wanted_at = now()
            WHERE tenant_id = $1 AND id = $2 AND wanted = 'online'
              AND status IN ('pending', 'connected', 'disconnected'))
        SELECT status AS "status: Status" FROM accounts WHERE tenant_id = $1 AND id = $2 AND wanted <> 'erased'
        "#,
        tenant.0,
        account.0
    )
    .fetch_optional(db)
    .await?
    .ok_or(Error::NotFound)?;
    if status.may_send() {
        return Ok(());
    }
    Err(Conflict::NotConnected { first_pairing: false }.into())
}
