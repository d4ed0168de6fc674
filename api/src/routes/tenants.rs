//! Tenants: for admins only.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use common::account::{MAX_LABEL, name};
use common::id::TenantId;
use common::store::tenants::{self, Tenant};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::auth::Admin;
use crate::context::Context;
use crate::extract::{self, Path, Query};
use crate::once::{Begun, Done, Once};
use crate::page::{self, Page};
use crate::problem::{Body, Problem, Result};

/// A name for a tenant or a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// What people call it: 1 to 100 characters.
    #[schema(example = "Acme Ltd", min_length = 1, max_length = 100)]
    pub name: String,
}

impl Name {
    /// The name, checked.
    pub fn checked(&self) -> Result<String> {
        name(&self.name, MAX_LABEL).map_err(|error| Problem::field("name", error))
    }
}

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// Items of a page: 1 to 200; 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(min_length = 1, max_length = 128)]
    pub cursor: Option<String>,
}

/// Create a tenant
#[utoipa::path(post, path = "/v1/tenants", tag = "Tenants", security(("admin_key" = [])), request_body = Name,
    responses((status = 201, body = Tenant)))]
pub async fn create(State(context): State<Context>, _: Admin, request: Once<extract::Json<Name>>) -> Result<Response> {
    let mut turn = match request.begin(&context, None).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let tenant = tenants::create(turn.db(), TenantId::new(), &request.body.0.checked()?).await?;
    turn.end(&context, Done::made(format!("/v1/tenants/{}", tenant.id), &tenant)?).await
}

/// List tenants
#[utoipa::path(get, path = "/v1/tenants", tag = "Tenants", security(("admin_key" = [])), params(Paging),
    responses((status = 200, body = Page<Tenant>)))]
pub async fn list(
    State(context): State<Context>,
    _: Admin,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Tenant>>> {
    let limit = page::limit(paging.limit)?;
    let after = page::read_time_cursor(paging.cursor.as_deref())?;
    let rows = tenants::list(&context.db, after, limit + 1).await?;
    Ok(Json(Page::cut(rows, limit, |tenant| page::time_cursor(tenant.created_at, tenant.id.0), |tenant| tenant)))
}

/// Read a tenant
#[utoipa::path(get, path = "/v1/tenants/{tenant}", tag = "Tenants", security(("admin_key" = [])),
    params(("tenant" = TenantId, Path)),
    responses((status = 200, body = Tenant)))]
pub async fn get(State(context): State<Context>, _: Admin, Path(tenant): Path<TenantId>) -> Result<Json<Tenant>> {
    Ok(Json(tenants::get(&context.db, tenant).await?))
}

/// Delete a tenant
///
/// With its keys, accounts, messages and reminders. Refused while an account is linked.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", tag = "Tenants", security(("admin_key" = [])),
    params(("tenant" = TenantId, Path)),
    responses((status = 204), (status = 409, description = "An account is still linked", body = Body, content_type = "application/problem+json")))]
pub async fn delete(State(context): State<Context>, _: Admin, Path(tenant): Path<TenantId>) -> Result<StatusCode> {
    tenants::delete(&context.db, tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}
