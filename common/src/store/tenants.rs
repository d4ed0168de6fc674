//! Tenants. Only admins see this table, so these functions cross tenants by nature.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Db, Error, Result};
use crate::id::TenantId;

/// A tenant.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Tenant)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// What people call it.
    pub name: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// Creates a tenant.
///
/// # Errors
/// When the database does not do it.
pub async fn create(db: impl Into<Db<'_>>, id: TenantId, name: &str) -> Result<Tenant> {
    let mut db = db.into().acquire().await?;
    let tenant = sqlx::query_as!(
        Tenant,
        r#"INSERT INTO tenants (id, name) VALUES ($1, $2) RETURNING id AS "id: TenantId", name, created_at"#,
        id.0,
        name
    )
    .fetch_one(&mut *db)
    .await?;
    Ok(tenant)
}

/// One tenant.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn get(db: &PgPool, id: TenantId) -> Result<Tenant> {
    sqlx::query_as!(Tenant, r#"SELECT id AS "id: TenantId", name, created_at FROM tenants WHERE id = $1"#, id.0)
        .fetch_optional(db)
        .await?
        .ok_or(Error::NotFound)
}

/// A page of all tenants, oldest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(db: &PgPool, after: Option<(DateTime<Utc>, Uuid)>, limit: i64) -> Result<Vec<Tenant>> {
    let (at, id) = after.unzip();
    let tenants = sqlx::query_as!(
        Tenant,
        r#"
        SELECT id AS "id: TenantId", name, created_at FROM tenants
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

/// Removes a tenant with everything it has. Refused while a phone is linked or being unlinked: its owner would keep a
/// linked device that nobody answers any more.
///
/// # Errors
/// [`Error::NotFound`] when there is none, [`Error::Conflict`] when an account is still linked.
pub async fn delete(db: &PgPool, id: TenantId) -> Result<()> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM tenants t WHERE t.id = $1 AND NOT EXISTS (
            SELECT FROM accounts a WHERE a.tenant_id = t.id AND (
                a.wanted <> 'offline' OR EXISTS (SELECT FROM credentials c WHERE c.account_id = a.id)))
        "#,
        id.0
    )
    .execute(db)
    .await?;
    if deleted.rows_affected() > 0 {
        return Ok(());
    }
    get(db, id).await?;
    Err(Error::Conflict("The tenant still has linked accounts: unpair or delete them first".to_owned()))
}
