//! API keys. The row contains the SHA-256 of the secret, never the secret itself. A fast hash is enough, since secrets
//! are random.

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::audit::{self, About, Entry, Operator};
use super::error::{Error, Result};
use super::scope::{ForAllTenants, Of, Within};
use domain::id::{ApiKeyId, TenantId};

/// A key without its secret.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its id, which the audit trail contains.
    pub id: ApiKeyId,
    /// Its tenant; `None` for an admin key.
    pub tenant_id: Option<TenantId>,
    /// The name that people gave it.
    pub name: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The identity behind a valid key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The key.
    pub key: ApiKeyId,
    /// Its tenant; `None` for an admin key.
    pub tenant: Option<TenantId>,
}

/// Stores a new key of a tenant.
///
/// # Errors
/// [`Error::NotFound`] if there is no such tenant.
pub async fn create(
    of: impl Into<Within<'_>>,
    name: &str,
    secret_hash: &[u8; 32],
    operator: Operator,
) -> Result<ApiKey> {
    let (mut db, tenant) = of.into().acquire().await?;
    insert(&mut db, Some(tenant), name, secret_hash, operator).await
}

/// Stores a new key of an admin.
///
/// # Errors
/// If the database fails.
pub async fn create_for_admin(
    all: ForAllTenants<'_>,
    name: &str,
    secret_hash: &[u8; 32],
    operator: Operator,
) -> Result<ApiKey> {
    insert(&mut *all.pool.acquire().await?, None, name, secret_hash, operator).await
}

async fn insert(
    db: &mut PgConnection,
    tenant: Option<TenantId>,
    name: &str,
    secret_hash: &[u8; 32],
    operator: Operator,
) -> Result<ApiKey> {
    let role = if tenant.is_some() { "tenant" } else { "admin" };
    let mut transaction = db.begin().await?;
    let key = sqlx::query_as!(
        ApiKey,
        r#"
        INSERT INTO api_keys (id, tenant_id, role, name, secret_hash)
        SELECT $1, $2::uuid, $3, $4, $5
        WHERE $2::uuid IS NULL OR EXISTS (SELECT FROM tenants WHERE id = $2)
        RETURNING id AS "id: ApiKeyId", tenant_id AS "tenant_id: TenantId", name, created_at,
            last_used_at, revoked_at
        "#,
        ApiKeyId::new().0,
        tenant.map(|tenant| tenant.0),
        role,
        name,
        secret_hash.as_slice()
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Error::NotFound)?;
    let about = About::Key(key.id, name);
    audit::record(&mut transaction, Entry { tenant, about, operator, action: "create", outcome: "ok" }).await;
    transaction.commit().await?;
    Ok(key)
}

/// The identity behind a secret; `None` if the key is unknown or revoked. A request's tenant is determined here.
///
/// # Errors
/// If the database fails.
pub async fn identify(all: ForAllTenants<'_>, secret_hash: &[u8; 32]) -> Result<Option<Identity>> {
    let ForAllTenants { pool: db } = all;
    let identity = sqlx::query_as!(
        Identity,
        r#"
        SELECT id AS "key: ApiKeyId", tenant_id AS "tenant: TenantId" FROM api_keys
        WHERE secret_hash = $1 AND revoked_at IS NULL
        "#,
        secret_hash.as_slice()
    )
    .fetch_optional(db)
    .await?;
    Ok(identity)
}

/// Updates when a key was last used, at most once a minute.
///
/// # Errors
/// If the database fails.
pub async fn touch(all: ForAllTenants<'_>, key: ApiKeyId) -> Result<()> {
    let ForAllTenants { pool: db } = all;
    sqlx::query!(
        "UPDATE api_keys SET last_used_at = now()
         WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')",
        key.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A tenant's keys, revoked ones included, oldest first; at most 1,000.
///
/// # Errors
/// [`Error::NotFound`] if there is no such tenant.
pub async fn list(of: Of<'_>) -> Result<Vec<ApiKey>> {
    let Of { pool: db, tenant, .. } = of;
    super::tenants::get(of).await?;
    let keys = sqlx::query_as!(
        ApiKey,
        r#"
        SELECT id AS "id: ApiKeyId", tenant_id AS "tenant_id: TenantId", name, created_at,
            last_used_at, revoked_at
        FROM api_keys WHERE tenant_id = $1 ORDER BY created_at, id LIMIT 1000
        "#,
        tenant.0
    )
    .fetch_all(db)
    .await?;
    Ok(keys)
}

/// All keys of the installation, oldest first, at most 10,000. For the command line.
///
/// # Errors
/// If the database fails.
pub async fn list_all(all: ForAllTenants<'_>) -> Result<Vec<ApiKey>> {
    let ForAllTenants { pool: db } = all;
    let keys = sqlx::query_as!(
        ApiKey,
        r#"
        SELECT id AS "id: ApiKeyId", tenant_id AS "tenant_id: TenantId", name, created_at,
            last_used_at, revoked_at
        FROM api_keys ORDER BY created_at, id LIMIT 10000
        "#
    )
    .fetch_all(db)
    .await?;
    Ok(keys)
}

/// Revokes a tenant's key. Revoking it again changes nothing.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such key.
pub async fn revoke(of: Of<'_>, key: ApiKeyId, operator: Operator) -> Result<()> {
    let Of { pool: db, tenant, .. } = of;
    revoke_key(db, Some(tenant), key, operator).await
}

/// Revokes any key of the installation. For the command line.
///
/// # Errors
/// [`Error::NotFound`] if there is no such key.
pub async fn revoke_any(all: ForAllTenants<'_>, key: ApiKeyId, operator: Operator) -> Result<()> {
    let ForAllTenants { pool: db } = all;
    revoke_key(db, None, key, operator).await
}

async fn revoke_key(db: &PgPool, of: Option<TenantId>, key: ApiKeyId, operator: Operator) -> Result<()> {
    let mut transaction = db.begin().await?;
    let before = sqlx::query!(
        r#"SELECT tenant_id AS "tenant: TenantId", name, revoked_at IS NULL AS "valid!" FROM api_keys
           WHERE id = $1 AND ($2::uuid IS NULL OR tenant_id = $2) FOR UPDATE"#,
        key.0,
        of.map(|tenant| tenant.0)
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Error::NotFound)?;
    if !before.valid {
        return Ok(());
    }
    sqlx::query!("UPDATE api_keys SET revoked_at = now() WHERE id = $1", key.0).execute(&mut *transaction).await?;
    let about = About::Key(key, &before.name);
    let entry = Entry { tenant: before.tenant, about, operator, action: "revoke", outcome: "ok" };
    audit::record(&mut transaction, entry).await;
    transaction.commit().await?;
    Ok(())
}
