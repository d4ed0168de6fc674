//! Tenants: for admins only.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::account::{MAX_LABEL, name};
use domain::id::TenantId;
use serde::{Deserialize, Deserializer};
use store::audit;
use store::tenants::{self, Kept};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Admin;
use crate::context::Context;
use crate::extract::{self, Path, Query};
use crate::once::{Begun, Done, Once};
use crate::page::{self, Page};
use crate::problem::{Problem, Result};
use crate::wire::audit::AuditEntry;
use crate::wire::tenant::Tenant;

/// A name for a tenant or a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// The name: 1 to 100 characters.
    #[schema(example = "Acme Ltd", min_length = 1, max_length = 100)]
    pub name: String,
}

impl Name {
    /// The name, checked.
    pub fn checked(&self) -> Result<String> {
        name(&self.name, MAX_LABEL).map_err(|error| Problem::field("name", error))
    }
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// The number of items on a page: 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<i64>,
    /// `next_cursor` of the previous page.
    #[param(min_length = 1, max_length = 128)]
    pub cursor: Option<String>,
}

/// Create a tenant
#[utoipa::path(post, path = "/v1/tenants", operation_id = "create_tenant",
    tag = "Tenants", security(("admin_key" = [])), request_body = Name,
    responses((status = 201, body = Tenant)))]
pub async fn create(
    State(context): State<Context>,
    admin: Admin,
    request: Once<extract::Json<Name>>,
) -> Result<Response> {
    let mut turn = match request.begin_for_admin(&admin).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let name = request.body.0.checked()?;
    let tenant = tenants::create(turn.of(TenantId::new()), &name, admin.operator()).await?;
    turn.end(&context, Done::made(format!("/v1/tenants/{}", tenant.id), &Tenant::from(tenant))?).await
}

/// List tenants
#[utoipa::path(get, path = "/v1/tenants", operation_id = "list_tenants",
    tag = "Tenants", security(("admin_key" = [])), params(Paging),
    responses((status = 200, body = Page<Tenant>)))]
pub async fn list(admin: Admin, Query(paging): Query<Paging>) -> Result<Json<Page<Tenant>>> {
    let limit = page::limit(paging.limit)?;
    let after = page::read_time_cursor(paging.cursor.as_deref())?;
    let rows = tenants::list(admin.all(), after, limit + 1).await?;
    Ok(Json(Page::cut(rows, limit, |tenant| page::time_cursor(tenant.created_at, tenant.id.0), Tenant::from)))
}

/// Read a tenant
#[utoipa::path(get, path = "/v1/tenants/{tenant}", operation_id = "get_tenant",
    tag = "Tenants", security(("admin_key" = [])),
    params(("tenant" = TenantId, Path)),
    responses((status = 200, body = Tenant)))]
pub async fn get(admin: Admin, Path(tenant): Path<TenantId>) -> Result<Json<Tenant>> {
    Ok(Json(tenants::get(admin.of(tenant)).await?.into()))
}

/// The changes of a tenant. Fields that are not given stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTenant {
    /// How many days its messages are kept, 1 to 3,650, if that is shorter than the installation's time. `null` means
    /// the installation's time.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>, example = 30, minimum = 1, maximum = 3650)]
    messages_kept_days: Option<Option<i32>>,
    /// How many days its audit trail is kept, by the same rule.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>, example = 90, minimum = 1, maximum = 3650)]
    audit_kept_days: Option<Option<i32>>,
}

/// Distinguishes `null` from a field that is not given.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Option<i32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Change a tenant
///
/// Sets how long its messages and its audit trail are kept.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}", operation_id = "change_tenant",
    tag = "Tenants", security(("admin_key" = [])),
    params(("tenant" = TenantId, Path)), request_body = ChangeTenant,
    responses((status = 200, body = Tenant)))]
pub async fn change(
    admin: Admin,
    Path(tenant): Path<TenantId>,
    extract::Json(request): extract::Json<ChangeTenant>,
) -> Result<Json<Tenant>> {
    let asked = [("messages_kept_days", request.messages_kept_days), ("audit_kept_days", request.audit_kept_days)];
    for (field, days) in asked {
        if days.flatten().is_some_and(|days| !(1..=3_650).contains(&days)) {
            return Err(Problem::field(field, "must be 1 to 3650, or null"));
        }
    }
    let kept = Kept { messages_days: request.messages_kept_days, audit_days: request.audit_kept_days };
    Ok(Json(tenants::keep(admin.of(tenant), &kept, admin.operator()).await?.into()))
}

/// Read a tenant's audit trail
///
/// Lists every change of its accounts, keys and webhooks, and of the tenant itself. Newest first. This also works after
/// the tenant was deleted.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/audit", operation_id = "list_tenant_audit",
    tag = "Tenants", security(("admin_key" = [])),
    params(("tenant" = TenantId, Path), Paging),
    responses((status = 200, body = Page<AuditEntry>)))]
pub async fn audit(
    admin: Admin,
    Path(tenant): Path<TenantId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<AuditEntry>>> {
    let limit = page::limit(paging.limit)?;
    let before = page::read_time_cursor(paging.cursor.as_deref())?;
    let rows = audit::list(admin.of(tenant), None, before, limit + 1).await?;
    Ok(Json(Page::cut(rows, limit, |entry| page::time_cursor(entry.created_at, entry.id), AuditEntry::from)))
}

/// Delete a tenant
///
/// Deletes the tenant with its keys, accounts, messages and reminders. Its audit trail stays. The request is refused
/// while an account is linked.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", operation_id = "delete_tenant",
    tag = "Tenants", security(("admin_key" = [])),
    params(("tenant" = TenantId, Path)),
    responses((status = 204), (status = 409, description = "An account is still linked")))]
pub async fn delete(admin: Admin, Path(tenant): Path<TenantId>) -> Result<StatusCode> {
    tenants::delete(admin.of(tenant), admin.operator()).await?;
    Ok(StatusCode::NO_CONTENT)
}
