//! API keys in answers of the API.

use chrono::{DateTime, Utc};
use domain::id::{ApiKeyId, TenantId};
use serde::Serialize;
use store::api_keys;
use utoipa::ToSchema;

/// Whom a key acts for.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// For the installation: it manages tenants and keys, and sees no data of a tenant.
    Admin,
    /// For one tenant.
    Tenant,
}

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKey {
    /// Its id, which the audit trail names.
    pub id: ApiKeyId,
    /// The tenant that it acts for; null for an admin key.
    pub tenant_id: Option<TenantId>,
    /// Its role.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl From<api_keys::ApiKey> for ApiKey {
    fn from(row: api_keys::ApiKey) -> Self {
        Self {
            id: row.id,
            tenant_id: row.tenant_id,
            role: if row.tenant_id.is_some() { Role::Tenant } else { Role::Admin },
            name: row.name,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        }
    }
}

/// A key that was just created.
#[derive(Serialize, ToSchema)]
pub struct CreatedKey {
    #[serde(flatten)]
    key: ApiKey,
    /// The key itself. It is shown only once and can't be read again.
    #[schema(example = "sb_t_mHl6yV0hYkF2cWlnb3RpbG9yZW1pcHN1bWRvbG9yc2k")]
    secret: String,
}

impl From<(api_keys::ApiKey, String)> for CreatedKey {
    fn from((row, secret): (api_keys::ApiKey, String)) -> Self {
        Self { key: row.into(), secret }
    }
}
