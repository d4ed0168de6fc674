//! Tenants. Only admins use this table, so these functions cross tenants.

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use super::audit::{self, About, Entry, Operator};
use super::db::Db;
use super::error::{Error, Result};
use domain::conflict::Conflict;
use domain::id::TenantId;

/// A tenant.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// The name.
    pub name: String,
    /// How many days its messages are kept; `None`: as long as the installation's (`MESSAGES_KEPT_DAYS`).
    pub messages_kept_days: Option<i32>,
    /// How many days its audit trail is kept; `None`: as long as the installation's (`AUDIT_KEPT_DAYS`).
    pub audit_kept_days: Option<i32>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A change of how long a tenant's rows are kept, in days. The outer `None` means no change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kept {
    /// For messages.
    pub messages_days: Option<Option<i32>>,
    /// For the audit trail.
    pub audit_days: Option<Option<i32>>,
}

/// Creates a tenant.
///
/// # Errors
/// If the database fails.
pub async fn create(db: impl Into<Db<'_>>, id: TenantId, name: &str, operator: Operator) -> Result<Tenant> {
    let mut db = db.into().acquire().await?;
    let mut transaction = db.begin().await?;
    sqlx::query!("INSERT INTO tenants (id, name) VALUES ($1, $2)", id.0, name).execute(&mut *transaction).await?;
    noted(&mut transaction, id, name, operator, "create").await;
    transaction.commit().await?;
    get(&mut *db, id).await
}

/// Changes how long a tenant's messages and audit trail are kept. An inner `None` means as long as the installation's.
///
/// # Errors
/// [`Error::NotFound`] if there is none.
pub async fn keep(db: &PgPool, id: TenantId, kept: &Kept, operator: Operator) -> Result<Tenant> {
    let mut transaction = db.begin().await?;
    let name = sqlx::query_scalar!(
        "UPDATE tenants SET messages_kept_days = CASE WHEN $2 THEN $3 ELSE messages_kept_days END,
             audit_kept_days = CASE WHEN $4 THEN $5 ELSE audit_kept_days END
         WHERE id = $1 RETURNING name",
        id.0,
        kept.messages_days.is_some(),
        kept.messages_days.flatten(),
        kept.audit_days.is_some(),
        kept.audit_days.flatten()
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Error::NotFound)?;
    noted(&mut transaction, id, &name, operator, "change").await;
    transaction.commit().await?;
    get(db, id).await
}

async fn noted(transaction: &mut PgConnection, id: TenantId, name: &str, operator: Operator, action: &str) {
    let entry = Entry { tenant: Some(id), about: About::Tenant(id, name), operator, action, outcome: "ok" };
    audit::record(transaction, entry).await;
}

/// One tenant.
///
/// # Errors
/// [`Error::NotFound`] if there is none.
pub async fn get(db: impl Into<Db<'_>>, id: TenantId) -> Result<Tenant> {
    let mut db = db.into().acquire().await?;
    sqlx::query_as!(
        Tenant,
        r#"SELECT id AS "id: TenantId", name, messages_kept_days, audit_kept_days, created_at FROM tenants WHERE id = $1"#,
        id.0
    )
    .fetch_optional(&mut *db)
    .await?
    .ok_or(Error::NotFound)
}

/// A page of all tenants, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn list(db: &PgPool, after: Option<(DateTime<Utc>, Uuid)>, limit: i64) -> Result<Vec<Tenant>> {
    let (at, id) = after.unzip();
    let tenants = sqlx::query_as!(
        Tenant,
        r#"
        SELECT id AS "id: TenantId", name, messages_kept_days, audit_kept_days, created_at FROM tenants
        WHERE $1::timestamptz IS NULL OR (created_at, id) > ($1, $2::uuid)
        ORDER BY created_at, id LIMIT $3
        "#,
        at,
        id,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(tenants)
}

/// Deletes a tenant with all its data except the audit trail. This is refused while a phone is linked or being
/// unlinked, since the phone would keep a linked device that nobody serves any more.
///
/// # Errors
/// [`Error::NotFound`] if there is none, [`Error::Conflict`] if an account is still linked.
pub async fn delete(db: &PgPool, id: TenantId, operator: Operator) -> Result<()> {
    let mut transaction = db.begin().await?;
    let deleted = sqlx::query_scalar!(
        r#"
        DELETE FROM tenants t WHERE t.id = $1 AND NOT EXISTS (
            SELECT FROM accounts a WHERE a.tenant_id = t.id AND (
                a.wanted <> 'offline' OR EXISTS (SELECT FROM credentials c WHERE c.account_id = a.id)))
        RETURNING name
        "#,
        id.0
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(name) = deleted else {
        drop(transaction);
        get(db, id).await?;
        return Err(Conflict::TenantHasLinkedAccounts.into());
    };
    noted(&mut transaction, id, &name, operator, "delete").await;
    transaction.commit().await?;
    Ok(())
}
