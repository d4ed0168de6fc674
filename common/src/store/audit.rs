//! The audit trail: every lifecycle step, by whom, and how it ended (R21). Writing it never strands the step itself.

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use super::Result;
use crate::id::{AccountId, ApiKeyId, TenantId};

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Whoever holds this key.
    Key(ApiKeyId),
    /// A part of the house by itself, such as `worker`.
    System(&'static str),
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "{key}"),
            Self::System(part) => write!(f, "system:{part}"),
        }
    }
}

/// One step to be noted.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Whose account.
    pub tenant: TenantId,
    /// The account.
    pub account: AccountId,
    /// Its label at that moment.
    pub label: &'a str,
    /// Who acted.
    pub operator: Operator,
    /// What was done, such as `account.unpair`.
    pub action: &'a str,
    /// How it ended, such as `ok`.
    pub outcome: &'a str,
}

/// One step as it was noted.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Its id.
    pub id: Uuid,
    /// The account, which may be gone by now.
    pub account_id: Option<AccountId>,
    /// The account's label at that moment.
    pub account_label: Option<String>,
    /// The acting key's id, or `system:<part>`.
    pub operator: Option<String>,
    /// What was done.
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Notes a step within the caller's transaction. A failure is logged and undone alone: the step goes on.
pub async fn record(transaction: &mut PgConnection, entry: Entry<'_>) {
    if let Err(error) = insert(transaction, entry).await {
        tracing::warn!(%error, account = %entry.account, action = entry.action, "a step could not be audited");
    }
}

async fn insert(transaction: &mut PgConnection, entry: Entry<'_>) -> Result<()> {
    let mut savepoint = transaction.begin().await?;
    sqlx::query!(
        "INSERT INTO audit (id, tenant_id, account_id, account_label, operator, action, outcome)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        Uuid::now_v7(),
        entry.tenant.0,
        entry.account.0,
        entry.label,
        entry.operator.to_string(),
        entry.action,
        entry.outcome
    )
    .execute(&mut *savepoint)
    .await?;
    savepoint.commit().await?;
    Ok(())
}

/// A page of a tenant's trail, newest first; of one account, if given, also after the account is gone.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    db: &PgPool,
    tenant: TenantId,
    account: Option<AccountId>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<AuditEntry>> {
    let (at, id) = before.unzip();
    let entries = sqlx::query_as!(
        AuditEntry,
        r#"
        SELECT id, account_id AS "account_id: AccountId", account_label, operator, action, outcome, created_at
        FROM audit
        WHERE tenant_id = $1 AND ($2::uuid IS NULL OR account_id = $2)
          AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::uuid))
        ORDER BY created_at DESC, id DESC LIMIT $5
        "#,
        tenant.0,
        account.map(|account| account.0),
        at,
        id,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(entries)
}
