//! The audit trail: every change of accounts, keys, tenants and webhooks, with the operator and the outcome. A failure
//! to write it does not fail the change itself. Entries stay when their tenant is deleted.

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::error::Result;
use super::scope::{ForAllTenants, Of};
use domain::id::{AccountId, ApiKeyId, TenantId, WebhookId};

/// Who made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// The holder of this key.
    Key(ApiKeyId),
    /// A part of the system itself, such as `worker`.
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

/// The changed object, with its name at that time.
#[derive(Debug, Clone, Copy)]
pub enum About<'a> {
    /// An account with its label.
    Account(AccountId, &'a str),
    /// A tenant with its name.
    Tenant(TenantId, &'a str),
    /// A key with its name.
    Key(ApiKeyId, &'a str),
    /// A webhook. It has no name, and its URL may contain a secret.
    Webhook(WebhookId),
}

impl About<'_> {
    const fn subject(&self) -> &'static str {
        match self {
            Self::Account(..) => "account",
            Self::Tenant(..) => "tenant",
            Self::Key(..) => "key",
            Self::Webhook(_) => "webhook",
        }
    }

    const fn id(&self) -> Uuid {
        match self {
            Self::Account(id, _) => id.0,
            Self::Tenant(id, _) => id.0,
            Self::Key(id, _) => id.0,
            Self::Webhook(id) => id.0,
        }
    }

    const fn name(&self) -> Option<&str> {
        match self {
            Self::Account(_, name) | Self::Tenant(_, name) | Self::Key(_, name) => Some(name),
            Self::Webhook(_) => None,
        }
    }
}

/// A change to be recorded.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The tenant; `None` for a change of an admin key.
    pub tenant: Option<TenantId>,
    /// The changed object.
    pub about: About<'a>,
    /// Who made the change.
    pub operator: Operator,
    /// The action, such as `unpair`.
    pub action: &'a str,
    /// The outcome, such as `ok`.
    pub outcome: &'a str,
}

/// A recorded change.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Its id.
    pub id: Uuid,
    /// The kind of the changed object: `account`, `tenant`, `key` or `webhook`.
    pub subject: String,
    /// The id of the object, which may no longer exist.
    pub subject_id: Option<Uuid>,
    /// Its label or name at that time. A webhook has none.
    pub subject_name: Option<String>,
    /// The account, if the object is one.
    pub account_id: Option<AccountId>,
    /// The account's label at that time.
    pub account_label: Option<String>,
    /// The id of the key, or `system:<part>`.
    pub operator: Option<String>,
    /// The action.
    pub action: String,
    /// The outcome.
    pub outcome: String,
    /// When it was recorded.
    pub created_at: DateTime<Utc>,
}

impl<'a> Entry<'a> {
    /// A successful change of an account.
    #[must_use]
    pub fn of_account(
        (tenant, account): (TenantId, AccountId),
        label: &'a str,
        operator: Operator,
        action: &'a str,
    ) -> Self {
        Self { tenant: Some(tenant), about: About::Account(account, label), operator, action, outcome: "ok" }
    }

    /// Sets another outcome.
    #[must_use]
    pub fn ended(self, outcome: &'a str) -> Self {
        Self { outcome, ..self }
    }
}

/// Records a change within the caller's transaction. A failure is logged and rolled back by itself, so the transaction
/// can go on.
pub(crate) async fn record(transaction: &mut PgConnection, entry: Entry<'_>) {
    record_all(transaction, &[entry]).await;
}

/// Records many changes as [`record`] does.
pub(crate) async fn record_all(transaction: &mut PgConnection, entries: &[Entry<'_>]) {
    let Some(first) = entries.first() else { return };
    if let Err(error) = insert(transaction, entries).await {
        tracing::warn!(%error, subject = first.about.subject(), id = %first.about.id(), action = first.action, steps = entries.len(), "a step could not be audited");
    }
}

async fn insert(transaction: &mut PgConnection, entries: &[Entry<'_>]) -> Result<()> {
    let ids: Vec<Uuid> = entries.iter().map(|_| Uuid::now_v7()).collect();
    let tenants: Vec<Option<Uuid>> = entries.iter().map(|entry| entry.tenant.map(|tenant| tenant.0)).collect();
    let subjects: Vec<&str> = entries.iter().map(|entry| entry.about.subject()).collect();
    let of: Vec<Uuid> = entries.iter().map(|entry| entry.about.id()).collect();
    let names: Vec<Option<&str>> = entries.iter().map(|entry| entry.about.name()).collect();
    let operators: Vec<String> = entries.iter().map(|entry| entry.operator.to_string()).collect();
    let actions: Vec<&str> = entries.iter().map(|entry| entry.action).collect();
    let outcomes: Vec<&str> = entries.iter().map(|entry| entry.outcome).collect();
    let mut savepoint = transaction.begin().await?;
    sqlx::query!(
        "INSERT INTO audit (id, tenant_id, subject, subject_id, subject_name, account_id, account_label, operator, action, outcome)
         SELECT id, tenant, subject, of, name, CASE WHEN subject = 'account' THEN of END, CASE WHEN subject = 'account' THEN name END,
                operator, action, outcome
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[])
             AS e (id, tenant, subject, of, name, operator, action, outcome)",
        &ids,
        &tenants as &[Option<Uuid>],
        &subjects as &[&str],
        &of,
        &names as &[Option<&str>],
        &operators,
        &actions as &[&str],
        &outcomes as &[&str]
    )
    .execute(&mut *savepoint)
    .await?;
    savepoint.commit().await?;
    Ok(())
}

/// A page of a tenant's audit trail, newest first. If `account` is given, only its entries, even after the account is
/// deleted.
///
/// # Errors
/// If the database fails.
pub async fn list(
    of: Of<'_>,
    account: Option<AccountId>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<AuditEntry>> {
    let Of { pool: db, tenant, .. } = of;
    let (at, id) = before.unzip();
    let entries = sqlx::query_as!(
        AuditEntry,
        r#"
        SELECT id, subject, coalesce(subject_id, account_id) AS subject_id, coalesce(subject_name, account_label) AS subject_name,
            account_id AS "account_id: AccountId", account_label, operator, action, outcome, created_at
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

/// Removes up to `limit` entries that are older than `days` days, or older than their tenant keeps them. Returns how
/// many.
///
/// # Errors
/// If the database fails.
pub async fn prune(all: ForAllTenants<'_>, days: i32, limit: i64) -> Result<u64> {
    let ForAllTenants { pool: db } = all;
    let removed = sqlx::query!(
        "DELETE FROM audit WHERE id IN (
             (SELECT id FROM audit WHERE created_at < now() - make_interval(days => $1) ORDER BY created_at LIMIT $2)
             UNION ALL
             (SELECT e.id FROM tenants t CROSS JOIN LATERAL (
                  SELECT id FROM audit WHERE tenant_id = t.id AND created_at < now() - make_interval(days => t.audit_kept_days)
                  LIMIT $2) e
              WHERE t.audit_kept_days < $1 LIMIT $2))",
        days,
        limit
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected())
}
