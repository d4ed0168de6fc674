//! The dashboard: a tenant's overview.

use axum::Json;
use domain::account;
use domain::reminder::life;
use store::dashboard;
use store::runs;

use crate::auth::Caller;
use crate::problem::Result;
use crate::wire::dashboard::{Counts, Dashboard};
use crate::wire::run::Run;

/// The number of runs that are shown.
const RECENT: i64 = 10;

/// Read the dashboard
///
/// Returns the numbers of accounts and reminders by status, the number of unread notifications, and the newest runs.
#[utoipa::path(get, path = "/v1/dashboard", operation_id = "get_dashboard", tag = "Reminders",
    responses((status = 200, body = Dashboard)))]
pub async fn get(caller: Caller) -> Result<Json<Dashboard>> {
    let counts = dashboard::counts(caller.of()).await?;
    let recent_runs = runs::list(caller.of(), runs::Filter::default(), RECENT).await?;
    let accounts: Vec<_> = counts.accounts.iter().map(|(status, count)| (status.as_str(), *count)).collect();
    let reminders: Vec<_> = counts.reminders.iter().map(|(status, count)| (status.as_str(), *count)).collect();
    Ok(Json(Dashboard {
        accounts: Counts::of(account::Status::ALL.map(account::Status::as_str), &accounts),
        reminders: Counts::of(life::Status::ALL.map(life::Status::as_str), &reminders),
        unread_notifications: counts.unread,
        recent_runs: recent_runs.into_iter().map(Run::from).collect(),
    }))
}
