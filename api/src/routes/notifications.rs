//! Notifications: what people are told about reminders and their runs.

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use store::notifications;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::page::{self, Page};
use crate::problem::Result;
use crate::wire::notification::{Notification, Read};

/// Which notifications to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only unread ones.
    #[serde(default)]
    unread: bool,
    /// The number of items on a page: 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the previous page.
    #[param(min_length = 1, max_length = 128)]
    cursor: Option<String>,
}

/// List notifications
///
/// Newest first. Notifications are kept as long as runs.
#[utoipa::path(get, path = "/v1/notifications", operation_id = "list_notifications",
    tag = "Notifications", params(Filter),
    responses((status = 200, body = Page<Notification>)))]
pub async fn list(caller: Caller, Query(filter): Query<Filter>) -> Result<Json<Page<Notification>>> {
    let limit = page::limit(filter.limit)?;
    let before = page::read_time_cursor(filter.cursor.as_deref())?;
    let rows = notifications::list(caller.of(), filter.unread, before, limit + 1).await?;
    let page = Page::cut(rows, limit, |row| page::time_cursor(row.created_at, row.id), Notification::from);
    Ok(Json(page.say_if_empty(&[("unread", filter.unread.then(|| "true".to_owned()))])))
}

/// Mark a notification as read
#[utoipa::path(post, path = "/v1/notifications/{notification}/read", operation_id = "read_notification",
    tag = "Notifications",
    params(("notification" = Uuid, Path)),
    responses((status = 204)))]
pub async fn read(caller: Caller, Path(notification): Path<Uuid>) -> Result<StatusCode> {
    notifications::read(caller.of(), notification).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mark all notifications as read
#[utoipa::path(post, path = "/v1/notifications/read", operation_id = "read_all_notifications", tag = "Notifications",
    responses((status = 200, body = Read)))]
pub async fn read_all(caller: Caller) -> Result<Json<Read>> {
    Ok(Json(Read { read: notifications::read_all(caller.of()).await? }))
}
