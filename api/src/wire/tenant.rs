//! A tenant, as it is answered.

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
    /// What people call it.
    pub name: String,
    /// Days that its messages are kept; null: as long as the installation's (`MESSAGES_KEPT_DAYS`).
    pub messages_kept_days: Option<i32>,
    /// Days that its audit trail is kept; null: as long as the installation's (`AUDIT_KEPT_DAYS`).
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
