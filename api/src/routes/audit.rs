//! The audit trail of a tenant.

use axum::Json;
use domain::id::AccountId;
use serde::Deserialize;
use store::audit;
use utoipa::IntoParams;

use crate::auth::Caller;
use crate::extract::Query;
use crate::page::{self, Page};
use crate::problem::Result;
use crate::wire::audit::AuditEntry;

/// Which entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only those of this account, which may be deleted.
    account_id: Option<AccountId>,
    /// The number of items on a page: 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the previous page.
    #[param(min_length = 1, max_length = 128)]
    cursor: Option<String>,
}

/// Read the audit trail
///
/// Lists every change of accounts, keys, webhooks and the tenant: who made it, and how it ended. Newest first.
#[utoipa::path(get, path = "/v1/audit", operation_id = "list_audit", tag = "Events", params(Filter),
    responses((status = 200, body = Page<AuditEntry>)))]
pub async fn list(caller: Caller, Query(filter): Query<Filter>) -> Result<Json<Page<AuditEntry>>> {
    let limit = page::limit(filter.limit)?;
    let before = page::read_time_cursor(filter.cursor.as_deref())?;
    let rows = audit::list(caller.of(), filter.account_id, before, limit + 1).await?;
    Ok(Json(Page::cut(rows, limit, |entry| page::time_cursor(entry.created_at, entry.id), AuditEntry::from)))
}
