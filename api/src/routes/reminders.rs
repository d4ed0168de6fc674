//! Reminders: create, list, read, replace, delete.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use domain::id::{AccountId, ReminderId};

use serde::Deserialize;
use store::reminders::{self, Filter as StoreFilter, Status};
use utoipa::IntoParams;

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{self, Path, Query};
use crate::once::{Begun, Done, Once};
use crate::page::{self, Page};
use crate::problem::{Problem, Result};
use crate::routes::version::tag;
use crate::routes::wish::Wish;
use crate::wire::reminder::Reminder;

/// The problem for an error when a reminder is written. `NotFound` means that its account does not exist.
pub fn no_such_account(error: store::Error) -> Problem {
    match error {
        store::Error::NotFound => Problem::no_such("account_id", "is not an account of yours"),
        error => error.into(),
    }
}

/// Which reminders to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only those with this status.
    status: Option<Status>,
    /// Only those of this account.
    account_id: Option<AccountId>,
    /// The number of items on a page: 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the previous page.
    #[param(min_length = 1, max_length = 128)]
    cursor: Option<String>,
}

/// Create a reminder
///
/// A recurring reminder fires from now on, wherever its start is. The start of a reminder that fires once may be up to
/// a minute ago: then it fires at the next full minute. An older start is refused.
#[utoipa::path(post, path = "/v1/reminders", operation_id = "create_reminder", tag = "Reminders", request_body = Wish,
    responses((status = 201, body = Reminder), (status = 404, description = "There is no such account")))]
pub async fn create(
    State(context): State<Context>,
    caller: Caller,
    request: Once<extract::Json<Wish>>,
) -> Result<Response> {
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let now = reminders::now(turn.of()).await?;
    let plan = request.body.0.checked(|spec| spec.check(now, 2))?;
    let created = reminders::create(turn.of(), &plan).await;
    let reminder = created.map_err(no_such_account)?;
    let location = format!("/v1/reminders/{}", reminder.id);
    let account = reminder.account_id;
    turn.end(&context, Done::made(location, &Reminder::from(reminder))?.of(account)).await
}

/// List reminders
///
/// Oldest first. A page ends early after 4 MiB of texts. An empty page names the filters that left nothing.
#[utoipa::path(get, path = "/v1/reminders", operation_id = "list_reminders", tag = "Reminders", params(Filter),
    responses((status = 200, body = Page<Reminder>)))]
pub async fn list(caller: Caller, Query(filter): Query<Filter>) -> Result<Json<Page<Reminder>>> {
    let limit = page::limit(filter.limit)?;
    let after = page::read_time_cursor(filter.cursor.as_deref())?;
    let chosen = StoreFilter { status: filter.status, account: filter.account_id, after };
    let listed = reminders::list(caller.of(), chosen, limit).await?;
    let page = Page::of(listed, |(at, id)| page::time_cursor(at, id), Reminder::from);
    Ok(Json(page.say_if_empty(&[
        ("status", filter.status.map(|status| status.as_str().to_owned())),
        ("account_id", filter.account_id.map(|id| id.to_string())),
    ])))
}

/// Read a reminder
///
/// Its `ETag` is for `If-Match` of an edit. It changes with each edit.
#[utoipa::path(get, path = "/v1/reminders/{reminder}", operation_id = "get_reminder",
    tag = "Reminders", params(("reminder" = ReminderId, Path)),
    responses((status = 200, body = Reminder, headers(("ETag" = String, description = "The version, for `If-Match`")))))]
pub async fn get(
    caller: Caller,
    Path(reminder): Path<ReminderId>,
) -> Result<([(HeaderName, String); 1], Json<Reminder>)> {
    let reminder = reminders::get(caller.of(), reminder).await?;
    Ok((tag(&reminder), Json(reminder.into())))
}

/// Delete a reminder
///
/// Pending occurrences never fire. The history of its runs stays.
#[utoipa::path(delete, path = "/v1/reminders/{reminder}", operation_id = "delete_reminder",
    tag = "Reminders", params(("reminder" = ReminderId, Path)),
    responses((status = 204)))]
pub async fn delete(
    State(context): State<Context>,
    caller: Caller,
    Path(reminder): Path<ReminderId>,
) -> Result<StatusCode> {
    context.announce(reminders::delete(caller.of(), reminder).await?);
    Ok(StatusCode::NO_CONTENT)
}
