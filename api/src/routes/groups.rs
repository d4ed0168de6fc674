//! Groups of an account.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::id::AccountId;
use store::groups;

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{Path, Query};
use crate::page::{self, Page};
use crate::problem::Result;
use crate::routes::tenants::Paging;
use crate::wire::group::{Group, Syncing};

/// List groups
///
/// The groups are those of the last sync. The account's `groups_synced_at` says when that was.
#[utoipa::path(get, path = "/v1/accounts/{account}/groups", operation_id = "list_groups",
    tag = "Groups", params(("account" = AccountId, Path), Paging),
    responses((status = 200, body = Page<Group>)))]
pub async fn list(
    caller: Caller,
    Path(account): Path<AccountId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Group>>> {
    let limit = page::limit(paging.limit)?;
    let cursor = paging.cursor.as_deref().map(page::plain).transpose()?;
    let rows = groups::list(caller.of(), account, cursor, limit + 1).await?;
    Ok(Json(Page::cut(rows, limit, |group| group.jid.clone(), Group::from)))
}

/// Sync groups
///
/// Reads the groups from WhatsApp again. This also happens on every connect.
#[utoipa::path(post, path = "/v1/accounts/{account}/groups/sync", operation_id = "sync_groups",
    tag = "Groups", params(("account" = AccountId, Path)),
    responses((status = 202, body = Syncing), (status = 409, description = "No phone is linked")))]
pub async fn sync(
    State(context): State<Context>,
    caller: Caller,
    Path(account): Path<AccountId>,
) -> Result<(StatusCode, Json<Syncing>)> {
    context.announce(groups::want_sync(caller.of(), account).await?);
    Ok((StatusCode::ACCEPTED, Json(Syncing { status: "syncing" })))
}
