//! Tenants in answers of the API.

use chrono::{DateTime, Utc};
use domain::id::TenantId;
use serde::Serialize;
use store::tenants;
use utoipa::ToSchema;

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// How many days its messages are kept; null means the installation's time (`MESSAGES_KEPT_DAYS`).
    pub messages_kept_days: Option<i32>,
    /// How many days its audit trail is kept; null means the installation's time (`AUDIT_KEPT_DAYS`).
    pub audit_kept_days: Option<i32>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

impl From<tenants::Tenant> for Tenant {
    fn from(row: tenants::Tenant) -> Self {
        Self {
            id: row.id,
            name: row.name,
            messages_kept_days: row.messages_kept_days,
            audit_kept_days: row.audit_kept_days,
            created_at: row.created_at,
        }
    }
}
