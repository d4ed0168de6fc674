//! Runs: what became of each firing of a reminder.

use axum::Json;
use axum::extract::State;
use common::id::{ReminderId, RunId};
use common::store::runs::{self, Run, Target};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{Path, Query};
use crate::page::{self, Page};
use crate::problem::{Body, Result};
use crate::routes::tenants::Paging;

/// A run with its targets.
#[derive(Serialize, ToSchema)]
pub struct RunWithTargets {
    #[serde(flatten)]
    run: Run,
    /// What became of each target, in order.
    targets: Vec<Target>,
}

/// List a reminder's runs
///
/// Newest first.
#[utoipa::path(get, path = "/v1/reminders/{reminder}/runs", tag = "Reminders",
    params(("reminder" = ReminderId, Path), Paging),
    responses((status = 200, body = Page<Run>), (status = "4XX", body = Body, content_type = "application/problem+json")))]
pub async fn list(
    State(context): State<Context>,
    caller: Caller,
    Path(reminder): Path<ReminderId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Run>>> {
    let limit = page::limit(paging.limit)?;
    let before = page::read_time_cursor(paging.cursor.as_deref())?;
    let rows = runs::list(&context.db, caller.tenant, reminder, before, limit + 1).await?;
    Ok(Json(Page::cut(rows, limit, |run| page::time_cursor(run.fire_at, run.id.0), |run| run)))
}

/// Read a run
///
/// Also after its reminder is gone.
#[utoipa::path(get, path = "/v1/runs/{run}", tag = "Reminders", params(("run" = RunId, Path)),
    responses((status = 200, body = RunWithTargets), (status = "4XX", body = Body, content_type = "application/problem+json")))]
pub async fn get(
    State(context): State<Context>,
    caller: Caller,
    Path(run): Path<RunId>,
) -> Result<Json<RunWithTargets>> {
    let (run, targets) = runs::get(&context.db, caller.tenant, run).await?;
    Ok(Json(RunWithTargets { run, targets }))
}
