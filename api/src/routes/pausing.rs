//! Pausing and resuming a reminder.

use axum::Json;
use axum::extract::State;
use domain::id::ReminderId;
use store::reminders;

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::Path;
use crate::problem::Result;
use crate::wire::reminder::Reminder;

/// Pause a reminder
///
/// The reminder does not fire until it is resumed. The end of a run does not end this pause. A run that is under way
/// goes on. Pausing twice has the effect of pausing once.
#[utoipa::path(post, path = "/v1/reminders/{reminder}/pause", operation_id = "pause_reminder",
    tag = "Reminders", params(("reminder" = ReminderId, Path)),
    responses((status = 200, body = Reminder), (status = 409, description = "It has ended or failed")))]
pub async fn pause(
    State(context): State<Context>,
    caller: Caller,
    Path(reminder): Path<ReminderId>,
) -> Result<Json<Reminder>> {
    context.announce(reminders::pause(caller.of(), reminder).await?);
    Ok(Json(reminders::get(caller.of(), reminder).await?.into()))
}

/// Resume a reminder
///
/// The reminder fires next at its first occurrence from now on. Occurrences that passed meanwhile do not count as
/// missed. A reminder that has no occurrence left has ended. A paused run of the reminder stays paused: resume or
/// cancel it separately.
#[utoipa::path(post, path = "/v1/reminders/{reminder}/resume", operation_id = "resume_reminder",
    tag = "Reminders", params(("reminder" = ReminderId, Path)),
    responses((status = 200, body = Reminder), (status = 409, description = "It has ended, or its rule can't be computed")))]
pub async fn resume(
    State(context): State<Context>,
    caller: Caller,
    Path(reminder): Path<ReminderId>,
) -> Result<Json<Reminder>> {
    context.announce(reminders::resume(caller.of(), reminder).await?);
    Ok(Json(reminders::get(caller.of(), reminder).await?.into()))
}
