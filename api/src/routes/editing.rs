//! Editing reminders: replace a reminder, change single fields, and detect concurrent edits.

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

/// How many times a patch is tried if other edits come first.
const PATCHES: usize = 10;

/// Edits a reminder. `stored` is the reminder as it was just read.
async fn edit(
    context: &Context,
    caller: &Caller,
    stored: &reminders::Reminder,
    wish: &Wish,
    expected: Option<i32>,
) -> Result<reminders::Reminder> {
    // an edit that changes nothing that fires is not checked against past and future occurrences
    let plan = wish.checked(|spec| spec.check(DateTime::UNIX_EPOCH, 1));
    if let Ok(plan) = plan
        && stored.fires_as(&plan)
        && let Some(renamed) =
            context.announce(reminders::rename(caller.of(), stored.id, &Plan { expected, ..plan }).await?)
    {
        return Ok(renamed);
    }
    let past = reminders::past(caller.of(), stored.id).await?;
    let plan = wish.checked(|spec| spec.check_again(&past))?;
    let updated =
        reminders::update(caller.of(), stored.id, &Plan { expected, ..plan }).await.map_err(no_such_account)?;
    Ok(context.announce(updated))
}

/// Replace a reminder
///
/// Replaces the whole reminder, including its texts and targets. The answer of `GET` can be sent back: fields that
/// can't be set are ignored.
///
/// An edit that does not change the account, texts, targets, schedule or window has no effect on runs: they go on, and
/// a paused reminder stays paused.
///
/// After any other edit the reminder is active. If it recurs, it continues with its first occurrence from now on.
/// Pending occurrences of the old plan never fire, and runs that were being sent end where they are. An occurrence that
/// has come due goes out as edited at the next full minute if nothing of it was sent yet, the new plan has it too, and
/// its window is open. Texts that were handed over to WhatsApp by then count as sent and do not go out again.
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
/// Applies a JSON merge patch (RFC 7396). A given field replaces the current one, `null` removes it, and a list is
/// replaced as a whole. Single fields of `recurrence` can be given. `recurrence` and `rrule` replace each other. The
/// result is checked and takes effect as if it had been sent as a whole with `PUT`. Edits that others make meanwhile
/// are not lost: without `If-Match`, the patch is applied to the newest version.
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
            // another edit came first: the patch is applied to its result
            Err(Problem::Changed(_)) if asked.is_none() && tries < PATCHES => {}
            updated => {
                let updated = updated?;
                return Ok((tag(&updated), Json(updated.into())));
            }
        }
    }
    Err(Problem::Unavailable)
}
