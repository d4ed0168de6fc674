//! Tenants, as admins see them.

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::audit::{self, About, Entry, Operator};
use super::error::{Error, Result};
use super::scope::{ForAllTenants, Of, Within};
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

/// Creates the tenant with this id.
///
/// # Errors
/// If the database fails.
pub async fn create(of: impl Into<Within<'_>>, name: &str, operator: Operator) -> Result<Tenant> {
    let (mut db, id) = of.into().acquire().await?;
    let mut transaction = db.begin().await?;
    sqlx::query!("INSERT INTO tenants (id, name) VALUES ($1, $2)", id.0, name).execute(&mut *transaction).await?;
    noted(&mut transaction, id, name, operator, "create").await;
    let created = get(Within::of(&mut transaction, id)).await?;
    transaction.commit().await?;
    Ok(created)
}

/// Changes how long a tenant's messages and audit trail are kept. An inner `None` means as long as the installation's.
///
/// # Errors
/// [`Error::NotFound`] if there is none.
pub async fn keep(of: Of<'_>, kept: &Kept, operator: Operator) -> Result<Tenant> {
    let Of { pool: db, tenant: id, .. } = of;
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
    let changed = get(Within::of(&mut transaction, id)).await?;
    transaction.commit().await?;
    Ok(changed)
}

async fn noted(transaction: &mut PgConnection, id: TenantId, name: &str, operator: Operator, action: &str) {
    let entry = Entry { tenant: Some(id), about: About::Tenant(id, name), operator, action, outcome: "ok" };
    audit::record(transaction, entry).await;
}

/// One tenant.
///
/// # Errors
/// [`Error::NotFound`] if there is none.
pub async fn get(of: impl Into<Within<'_>>) -> Result<Tenant> {
    let (mut db, id) = of.into().acquire().await?;
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
pub async fn list(all: ForAllTenants<'_>, after: Option<(DateTime<Utc>, Uuid)>, limit: i64) -> Result<Vec<Tenant>> {
    let ForAllTenants { pool: db } = all;
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
pub async fn delete(of: Of<'_>, operator: Operator) -> Result<()> {
    let Of { pool: db, tenant: id, .. } = of;
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
        get(of).await?;
        return Err(Conflict::TenantHasLinkedAccounts.into());
    };
    noted(&mut transaction, id, &name, operator, "delete").await;
    transaction.commit().await?;
    Ok(())
}
