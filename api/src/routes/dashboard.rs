//! What a tenant sees first (R51).

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use common::account;
use common::reminder::life;
use common::store::dashboard;
use common::store::runs::{self, Run};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::context::Context;
use crate::problem::Result;

/// How many runs are shown.
const RECENT: i64 = 10;

/// Counts, and what ran last.
#[derive(Serialize, ToSchema)]
pub struct Dashboard {
    /// Accounts.
    accounts: Counts,
    /// Reminders.
    reminders: Counts,
    /// Notifications that nobody has read.
    unread_notifications: i64,
    /// The newest runs, at most ten.
    recent_runs: Vec<Run>,
}

/// How many there are, and how they stand.
#[derive(Serialize, ToSchema)]
pub struct Counts {
    /// All of them.
    total: i64,
    /// By status; each status is there.
    #[schema(example = json!({"active": 3, "paused": 1, "failed": 0, "ended": 12}))]
    by_status: BTreeMap<&'static str, i64>,
}

impl Counts {
    fn of(statuses: impl IntoIterator<Item = &'static str>, rows: &[(&'static str, i64)]) -> Self {
        let mut by_status: BTreeMap<&'static str, i64> = statuses.into_iter().map(|status| (status, 0)).collect();
        by_status.extend(rows.iter().copied());
        Self { total: rows.iter().map(|(_, count)| count).sum(), by_status }
    }
}

/// Read the dashboard
///
/// Accounts and reminders by status, unread notifications, and the newest runs.
#[utoipa::path(get, path = "/v1/dashboard", tag = "Reminders",
    responses((status = 200, body = Dashboard)))]
pub async fn get(State(context): State<Context>, caller: Caller) -> Result<Json<Dashboard>> {
    let counts = dashboard::counts(&context.db, caller.tenant).await?;
    let recent_runs = runs::list(&context.db, caller.tenant, runs::Filter::default(), RECENT).await?;
    let accounts: Vec<_> = counts.accounts.iter().map(|(status, count)| (status.as_str(), *count)).collect();
    let reminders: Vec<_> = counts.reminders.iter().map(|(status, count)| (status.as_str(), *count)).collect();
    Ok(Json(Dashboard {
        accounts: Counts::of(account::Status::ALL.map(account::Status::as_str), &accounts),
        reminders: Counts::of(life::Status::ALL.map(life::Status::as_str), &reminders),
        unread_notifications: counts.unread,
        recent_runs,
    }))
}
