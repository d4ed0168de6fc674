//! Runs: the result of each firing of a reminder, and what people decide about it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::id::{AccountId, ReminderId, RunId};
use domain::run::Status;
use serde::Deserialize;
use store::runs;
use utoipa::IntoParams;

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{NoBody, Path, Query};
use crate::once::{Begun, Done, Once};
use crate::page::{self, Page};
use crate::problem::Result;
use crate::wire::run::{Cleared, Run, RunWithTargets};

/// Which runs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only those with this status.
    status: Option<Status>,
    /// Only those of this reminder.
    reminder_id: Option<ReminderId>,
    /// Only those of this account.
    account_id: Option<AccountId>,
    /// Only occurrences at or after this instant.
    since: Option<DateTime<Utc>>,
    /// Only occurrences before this instant.
    until: Option<DateTime<Utc>>,
    /// The number of items on a page: 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the previous page.
    #[param(min_length = 1, max_length = 128)]
    cursor: Option<String>,
}

/// Which runs of a reminder to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OfReminder {
    /// Only those with this status.
    status: Option<Status>,
    /// The number of items on a page: 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the previous page.
    #[param(min_length = 1, max_length = 128)]
    cursor: Option<String>,
}

/// Which runs to clear.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ToClear {
    /// Only those with this status.
    status: Option<Status>,
    /// Only those of this reminder.
    reminder_id: Option<ReminderId>,
    /// Only those of this account.
    account_id: Option<AccountId>,
    /// Only occurrences at or after this instant.
    since: Option<DateTime<Utc>>,
    /// Only occurrences before this instant.
    until: Option<DateTime<Utc>>,
}

/// List runs
///
/// Newest first, including runs of deleted reminders. An empty page names the filters that left nothing.
#[utoipa::path(get, path = "/v1/runs", operation_id = "list_runs", tag = "Reminders", params(Filter),
    responses((status = 200, body = Page<Run>)))]
pub async fn list(caller: Caller, Query(filter): Query<Filter>) -> Result<Json<Page<Run>>> {
    let limit = page::limit(filter.limit)?;
    let chosen = runs::Filter {
        reminder: filter.reminder_id,
        account: filter.account_id,
        status: filter.status,
        since: page::instant("since", filter.since)?,
        until: page::instant("until", filter.until)?,
        before: page::read_time_cursor(filter.cursor.as_deref())?,
    };
    let rows = runs::list(caller.of(), chosen, limit + 1).await?;
    let page = Page::cut(rows, limit, |run| page::time_cursor(run.fire_at, run.id.0), Run::from);
    Ok(Json(page.say_if_empty(&[
        ("status", filter.status.map(|status| status.to_string())),
        ("reminder_id", filter.reminder_id.map(|id| id.to_string())),
        ("account_id", filter.account_id.map(|id| id.to_string())),
        ("since", filter.since.map(|at| at.to_rfc3339())),
        ("until", filter.until.map(|at| at.to_rfc3339())),
    ])))
}

/// List a reminder's runs
///
/// Newest first.
#[utoipa::path(get, path = "/v1/reminders/{reminder}/runs", operation_id = "list_reminder_runs", tag = "Reminders",
    params(("reminder" = ReminderId, Path), OfReminder),
    responses((status = 200, body = Page<Run>)))]
pub async fn list_of_reminder(
    caller: Caller,
    Path(reminder): Path<ReminderId>,
    Query(filter): Query<OfReminder>,
) -> Result<Json<Page<Run>>> {
    let limit = page::limit(filter.limit)?;
    let before = page::read_time_cursor(filter.cursor.as_deref())?;
    let chosen = runs::Filter { reminder: Some(reminder), status: filter.status, before, ..runs::Filter::default() };
    runs::reminder_is_there(caller.of(), reminder).await?;
    let rows = runs::list(caller.of(), chosen, limit + 1).await?;
    let page = Page::cut(rows, limit, |run| page::time_cursor(run.fire_at, run.id.0), Run::from);
    Ok(Json(page.say_if_empty(&[("status", filter.status.map(|status| status.to_string()))])))
}

/// Read a run
///
/// This also works after its reminder was deleted.
#[utoipa::path(get, path = "/v1/runs/{run}", operation_id = "get_run", tag = "Reminders", params(("run" = RunId, Path)),
    responses((status = 200, body = RunWithTargets)))]
pub async fn get(caller: Caller, Path(run): Path<RunId>) -> Result<Json<RunWithTargets>> {
    Ok(Json(runs::get(caller.of(), run).await?.into()))
}

/// Resume a paused run
///
/// Sends the texts that its pending targets did not get, within today's delivery window. This is allowed while the
/// reminder is paused. When the run has ended, the reminder goes on from then. Resuming twice has the effect of
/// resuming once.
#[utoipa::path(post, path = "/v1/runs/{run}/resume", operation_id = "resume_run",
    tag = "Reminders", params(("run" = RunId, Path)),
    responses((status = 202, body = RunWithTargets), (status = 409, description = "It is not paused, or can't be sent now: the detail says why")))]
pub async fn resume(
    State(context): State<Context>,
    caller: Caller,
    Path(run): Path<RunId>,
    request: Once<NoBody>,
) -> Result<Response> {
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let (_, after) = runs::resume(turn.of(), run).await?.parts();
    let found = runs::get(turn.of(), run).await?;
    let account = found.0.account_id;
    let done = Done::new(StatusCode::ACCEPTED, &RunWithTargets::from(found))?.of(account);
    turn.end(&context, done.then(after)).await
}

/// Cancel a run
///
/// Cancels a run that is pending, under way or paused. Texts that were handed over to WhatsApp stay sent. The others
/// are called back, and their targets are skipped. The run is then `partial`, or `canceled` if nothing had left. A
/// recurring reminder goes on; one that fires once has ended.
#[utoipa::path(post, path = "/v1/runs/{run}/cancel", operation_id = "cancel_run",
    tag = "Reminders", params(("run" = RunId, Path)),
    responses((status = 200, body = RunWithTargets), (status = 409, description = "It is over")))]
pub async fn cancel(
    State(context): State<Context>,
    caller: Caller,
    Path(run): Path<RunId>,
    request: Once<NoBody>,
) -> Result<Response> {
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let (_, after) = runs::cancel(turn.of(), run).await?.parts();
    let found = runs::get(turn.of(), run).await?;
    let account = found.0.account_id;
    let done = Done::new(StatusCode::OK, &RunWithTargets::from(found))?.of(account);
    turn.end(&context, done.then(after)).await
}

/// Clear the history of runs
///
/// Removes every run that has ended and matches the filters, including runs of deleted reminders. Without a filter, it
/// removes all runs that have ended. Other runs stay: cancel or finish them first.
#[utoipa::path(delete, path = "/v1/runs", operation_id = "clear_runs", tag = "Reminders", params(ToClear),
    responses((status = 200, body = Cleared)))]
pub async fn clear(caller: Caller, Query(filter): Query<ToClear>) -> Result<Json<Cleared>> {
    let chosen = runs::Filter {
        reminder: filter.reminder_id,
        account: filter.account_id,
        status: filter.status,
        since: page::instant("since", filter.since)?,
        until: page::instant("until", filter.until)?,
        before: None,
    };
    Ok(Json(Cleared { removed: runs::clear(caller.of(), chosen).await? }))
}
