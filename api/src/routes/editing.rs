//! Editing reminders: replace, change fields, and what guards both.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use chrono::DateTime;
use domain::id::ReminderId;
use serde_json::Value;
use store::reminders::{self, Plan};

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{self, Path};
use crate::problem::{Problem, Result};
use crate::routes::patch;
use crate::routes::reminders::no_such_account;
use crate::routes::version::{expected, tag};
use crate::routes::wish::Wish;
use crate::wire::reminder::Reminder;

/// How often a patch is made anew that others have overtaken.
const PATCHES: usize = 10;

/// Carries out an edit of a reminder as it was just read.
async fn edit(
    context: &Context,
    caller: &Caller,
    stored: &reminders::Reminder,
    wish: &Wish,
    expected: Option<i32>,
) -> Result<reminders::Reminder> {
    // an edit of what does not fire says nothing of past and future
    let plan = wish.checked(|spec| spec.check(DateTime::UNIX_EPOCH, 1));
    if let Ok(plan) = plan
        && stored.fires_as(&plan)
        && context.announce(reminders::rename(caller.of(), stored.id, &Plan { expected, ..plan }).await?)
    {
        return Ok(reminders::get(caller.of(), stored.id).await?);
    }
    let past = reminders::past(caller.of(), stored.id).await?;
    let plan = wish.checked(|spec| spec.check_again(&past))?;
    let updated =
        reminders::update(caller.of(), stored.id, &Plan { expected, ..plan }).await.map_err(no_such_account)?;
    Ok(context.announce(updated))
}

/// Replace a reminder
///
/// Whole, texts and targets included. An edit that leaves account, texts, targets, schedule and window as they are changes nothing of what
/// fires: runs go on, and a reminder that rests does so still. Any other arms it anew, one that recurs with its first occurrence from now on: what was
/// pending under the old plan never fires, and what of it was being sent ends where it is. An occurrence that had come due,
/// of which nothing was sent yet, goes out at the next full minute as it was edited, if the new plan has it too and its
/// window is open. What was handed over to WhatsApp by then counts as sent, and does not go out again.
/// What `GET` answers can be sent back: what can't be set is not looked at.
#[utoipa::path(put, path = "/v1/reminders/{reminder}", operation_id = "replace_reminder", tag = "Reminders",
    params(("reminder" = ReminderId, Path), ("If-Match" = Option<String>, Header, max_length = 64, description = "The `ETag` that was read: an edit in between is answered with 412")),
    request_body = Wish,
    responses((status = 200, body = Reminder, headers(("ETag" = String, description = "The version, for `If-Match`"))), (status = 412, description = "It was edited since it was read")))]
pub async fn update(
    State(context): State<Context>,
    caller: Caller,
    Path(reminder): Path<ReminderId>,
    headers: HeaderMap,
    extract::Json(wish): extract::Json<Wish>,
) -> Result<([(HeaderName, String); 1], Json<Reminder>)> {
    // Whether it is theirs goes first: a stranger learns nothing from what is wrong with the rest.
    let stored = reminders::get(caller.of(), reminder).await?;
    let expected = expected(&headers, &stored)?;
    let updated = edit(&context, &caller, &stored, &wish, expected).await?;
    Ok((tag(&updated), Json(updated.into())))
}

/// Change fields of a reminder
///
/// A JSON merge patch (RFC 7396): fields that are given take the place of those that are there, `null` removes one, lists are replaced
/// whole; of `recurrence` single fields can be given. `recurrence` and `rrule` take each other's place. What comes of it is checked, and
/// armed, as if it had been sent whole. What others edit meanwhile is not lost: it is patched as it is then.
#[utoipa::path(patch, path = "/v1/reminders/{reminder}", operation_id = "change_reminder", tag = "Reminders",
    params(("reminder" = ReminderId, Path), ("If-Match" = Option<String>, Header, max_length = 64, description = "The `ETag` that was read: an edit in between is answered with 412")),
    request_body(content = HashMap<String, Value>, description = "Some fields, spelled as when a reminder is created", content_type = "application/merge-patch+json", example = json!({"name": "Stand-up", "window_end": "18:30", "recurrence": {"times": ["08:00", "13:30"]}})),
    responses((status = 200, body = Reminder, headers(("ETag" = String, description = "The version, for `If-Match`"))), (status = 412, description = "It was edited since it was read")))]
pub async fn change(
    State(context): State<Context>,
    caller: Caller,
    Path(reminder): Path<ReminderId>,
    headers: HeaderMap,
    extract::Json(changes): extract::Json<Value>,
) -> Result<([(HeaderName, String); 1], Json<Reminder>)> {
    for tries in 1.. {
        let stored = reminders::get(caller.of(), reminder).await?;
        let asked = expected(&headers, &stored)?;
        let wish = patch::wish(Reminder::from(stored.clone()), &changes)?;
        match edit(&context, &caller, &stored, &wish, Some(stored.version)).await {
            // somebody else was quicker: what they wrote is patched
            Err(Problem::Changed(_)) if asked.is_none() && tries < PATCHES => {}
            updated => {
                let updated = updated?;
                return Ok((tag(&updated), Json(updated.into())));
            }
        }
    }
    Err(Problem::Unavailable)
}
