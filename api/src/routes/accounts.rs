//! Accounts: add, list, read, rename, delete.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use domain::account::{self, Status};
use domain::id::AccountId;
use serde::Deserialize;
use store::accounts::{self, Deletion};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{self, Path, Query};
use crate::once::{Begun, Done, Once};
use crate::page::{self, Page};
use crate::problem::{Problem, Result};
use crate::wire::account::{Account, Deleting};

/// The label of an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The label: 1 to 100 characters.
    #[schema(example = "Sales, front desk", min_length = 1, max_length = 100)]
    label: String,
}

impl Label {
    fn checked(&self) -> Result<String> {
        account::label(&self.label).map_err(|error| Problem::field("label", error))
    }
}

/// Which accounts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only those with this status.
    status: Option<Status>,
    /// The number of items on a page: 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the previous page.
    #[param(min_length = 1, max_length = 128)]
    cursor: Option<String>,
}

/// Add an account
///
/// The account is unpaired until a phone is linked with `pair`.
#[utoipa::path(post, path = "/v1/accounts", operation_id = "create_account", tag = "Accounts", request_body = Label,
    responses((status = 201, body = Account)))]
pub async fn create(
    State(context): State<Context>,
    caller: Caller,
    request: Once<extract::Json<Label>>,
) -> Result<Response> {
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let label = request.body.0.checked()?;
    let account = accounts::create(turn.of(), &label, caller.operator()).await?;
    let location = format!("/v1/accounts/{}", account.id);
    let id = account.id;
    turn.end(&context, Done::made(location, &Account::from(account))?.of(id)).await
}

/// List accounts
///
/// Accounts are listed in the order in which they were added.
#[utoipa::path(get, path = "/v1/accounts", operation_id = "list_accounts", tag = "Accounts", params(Filter),
    responses((status = 200, body = Page<Account>)))]
pub async fn list(caller: Caller, Query(filter): Query<Filter>) -> Result<Json<Page<Account>>> {
    let limit = page::limit(filter.limit)?;
    let after = page::read_time_cursor(filter.cursor.as_deref())?;
    let rows = accounts::list(caller.of(), filter.status, after, limit + 1).await?;
    Ok(Json(Page::cut(rows, limit, |row| page::time_cursor(row.created_at, row.id.0), Account::from)))
}

/// Read an account
#[utoipa::path(get, path = "/v1/accounts/{account}", operation_id = "get_account",
    tag = "Accounts", params(("account" = AccountId, Path)),
    responses((status = 200, body = Account)))]
pub async fn get(caller: Caller, Path(account): Path<AccountId>) -> Result<Json<Account>> {
    Ok(Json(accounts::get(caller.of(), account).await?.into()))
}

/// Rename an account
#[utoipa::path(patch, path = "/v1/accounts/{account}", operation_id = "rename_account",
    tag = "Accounts", params(("account" = AccountId, Path)),
    request_body = Label,
    responses((status = 200, body = Account)))]
pub async fn rename(
    caller: Caller,
    Path(account): Path<AccountId>,
    extract::Json(request): extract::Json<Label>,
) -> Result<Json<Account>> {
    let label = request.checked()?;
    let account = accounts::rename(caller.of(), account, &label, caller.operator()).await?;
    Ok(Json(account.into()))
}

/// Delete an account
///
/// Deletes the account for good, with its groups and reminders. The history of its runs stays. Queued messages end as
/// `canceled`. If a phone is linked, the device is first logged out from WhatsApp (202). Otherwise the account is
/// deleted at once (204). In both cases it is no longer listed.
#[utoipa::path(delete, path = "/v1/accounts/{account}", operation_id = "delete_account",
    tag = "Accounts", params(("account" = AccountId, Path)),
    responses((status = 202, body = Deleting), (status = 204)))]
pub async fn delete(
    State(context): State<Context>,
    caller: Caller,
    Path(account): Path<AccountId>,
) -> Result<Response> {
    let deletion = context.announce(accounts::delete(caller.of(), account, caller.operator()).await?);
    Ok(match deletion {
        Deletion::Removed => StatusCode::NO_CONTENT.into_response(),
        Deletion::LoggingOut => (StatusCode::ACCEPTED, Json(Deleting { status: "deleting" })).into_response(),
    })
}
