//! A tenant's API keys: for admins only.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::id::{ApiKeyId, TenantId};
use store::api_keys;

use crate::auth::{self, Admin};
use crate::context::Context;
use crate::extract::{self, Path};
use crate::once::{Begun, Done, Once};
use crate::page::Page;
use crate::problem::Result;
use crate::routes::tenants::Name;
use crate::wire::key::{ApiKey, CreatedKey};

/// Create a key for a tenant
#[utoipa::path(post, path = "/v1/tenants/{tenant}/keys", operation_id = "create_key",
    tag = "Tenants", security(("admin_key" = [])),
    params(("tenant" = TenantId, Path)), request_body = Name,
    responses((status = 201, body = CreatedKey)))]
pub async fn create(
    State(context): State<Context>,
    admin: Admin,
    Path(tenant): Path<TenantId>,
    request: Once<extract::Json<Name>>,
) -> Result<Response> {
    let mut turn = match request.begin_for_admin(&admin).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let (name, secret) = (request.body.0.checked()?, auth::generate(Some(tenant)));
    let key = api_keys::create(turn.of(tenant), &name, &auth::digest(&secret), admin.operator()).await?;
    turn.end(&context, Done::new(StatusCode::CREATED, &CreatedKey::from((key, secret)))?.secret()).await
}

/// List a tenant's keys
#[utoipa::path(get, path = "/v1/tenants/{tenant}/keys", operation_id = "list_keys",
    tag = "Tenants", security(("admin_key" = [])),
    params(("tenant" = TenantId, Path)),
    responses((status = 200, body = Page<ApiKey>)))]
pub async fn list(admin: Admin, Path(tenant): Path<TenantId>) -> Result<Json<Page<ApiKey>>> {
    let keys = api_keys::list(admin.of(tenant)).await?;
    Ok(Json(Page { data: keys.into_iter().map(ApiKey::from).collect(), next_cursor: None, empty: None }))
}

/// Revoke a key
///
/// The key stops working everywhere within five seconds. Revoking it again changes nothing.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/keys/{key}", operation_id = "revoke_key",
    tag = "Tenants", security(("admin_key" = [])),
    params(("tenant" = TenantId, Path), ("key" = ApiKeyId, Path)),
    responses((status = 204)))]
pub async fn revoke(admin: Admin, Path((tenant, key)): Path<(TenantId, ApiKeyId)>) -> Result<StatusCode> {
    api_keys::revoke(admin.of(tenant), key, admin.operator()).await?;
    Ok(StatusCode::NO_CONTENT)
}
