//! Entries of the audit trail in answers of the API.

use chrono::{DateTime, Utc};
use domain::id::AccountId;
use serde::Serialize;
use store::audit;
use utoipa::ToSchema;
use uuid::Uuid;

/// One change, as it was recorded.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its id.
    pub id: Uuid,
    /// What was changed: `account`, `tenant`, `key` or `webhook`.
    #[schema(example = "account")]
    pub subject: String,
    /// The id of what was changed, which may be deleted by now.
    pub subject_id: Option<Uuid>,
    /// Its label or name at that time; a webhook has none.
    pub subject_name: Option<String>,
    /// The account, if it was one.
    pub account_id: Option<AccountId>,
    /// The account's label at that time.
    pub account_label: Option<String>,
    /// The acting key's id, or `system:<part>`.
    pub operator: Option<String>,
    /// What was done.
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// When it was done.
    pub created_at: DateTime<Utc>,
}

impl From<audit::AuditEntry> for AuditEntry {
    fn from(row: audit::AuditEntry) -> Self {
        Self {
            id: row.id,
            subject: row.subject,
            subject_id: row.subject_id,
            subject_name: row.subject_name,
            account_id: row.account_id,
            account_label: row.account_label,
            operator: row.operator,
            action: row.action,
            outcome: row.outcome,
            created_at: row.created_at,
        }
    }
}
