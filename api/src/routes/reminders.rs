//! Reminders: create, list, read, replace, delete.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use common::id::{AccountId, ReminderId};
use common::reminder::{Edge, Misfire, OnGap, Overlap, Recurrence, Start, Window, summary, timezone};
use common::store;
use common::store::reminders::{self, Filter as StoreFilter, Status};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{self, Path, Query};
use crate::once::{Begun, Done, Once};
use crate::page::{self, Page};
use crate::problem::{Body, Problem, Result};
use crate::routes::version::tag;
use crate::routes::wish::Wish;

/// A reminder. It can be sent back as it is, whole or changed.
#[derive(Serialize, ToSchema)]
pub struct Reminder {
    /// Its id.
    id: ReminderId,
    /// The account that sends it.
    account_id: AccountId,
    /// What people call it.
    name: String,
    /// How far it is.
    status: Status,
    /// The texts, in order.
    messages: Vec<String>,
    /// The chats' addresses, in order.
    targets: Vec<String>,
    /// Its start on the zone's clocks; with an offset where they show it twice and the later time is meant.
    #[schema(example = "2027-01-04T09:00:00")]
    start: String,
    /// The IANA zone in which it is meant.
    timezone: String,
    /// What it repeats on; null when only an RRULE can say it.
    recurrence: Option<Recurrence>,
    /// The same as an RRULE; null: it fires once, or no rule says its `times`.
    rrule: Option<String>,
    /// The same in words.
    #[schema(example = "Every 2 weeks on Mon, Thu until 2027-12-31")]
    summary: String,
    /// What the rule leaves out.
    exdates: Vec<String>,
    /// What becomes of times that clocks skip.
    on_gap: OnGap,
    /// From when on it may send, of a day; null: from midnight.
    window_start: Option<Edge>,
    /// Until when.
    window_end: Option<Edge>,
    /// What becomes of late occurrences.
    misfire: Misfire,
    /// How late an occurrence may still fire, in seconds; what has fired is sent until `window_end`, if there is one.
    catchup_window_s: i32,
    /// What becomes of an occurrence while the run before is in progress.
    overlap: Overlap,
    /// Raised by each edit.
    version: i32,
    /// When it fires next; null when it does not.
    next_fire_at: Option<DateTime<Utc>>,
    /// When it last fired.
    last_fired_at: Option<DateTime<Utc>>,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl From<reminders::Reminder> for Reminder {
    fn from(row: reminders::Reminder) -> Self {
        let (window_start, window_end) = row.window().map(Window::edges).unzip();
        let start = match timezone(&row.timezone) {
            Ok(tz) => Start::stored_as(row.start_local, row.start_later, tz).text(tz),
            Err(_) => row.start_local.format("%Y-%m-%dT%H:%M:%S").to_string(),
        };
        Self {
            id: row.id,
            account_id: row.account_id,
            name: row.name,
            status: row.status,
            messages: row.messages,
            targets: row.targets,
            start,
            timezone: row.timezone,
            recurrence: Recurrence::from_stored(row.rrule.as_deref(), &row.times),
            summary: summary::of_stored(row.rrule.as_deref(), &row.times),
            rrule: row.rrule.filter(|_| row.times.is_empty()),
            exdates: row.exdates,
            on_gap: row.on_gap,
            window_start: window_start.flatten(),
            window_end,
            misfire: row.misfire,
            catchup_window_s: row.catchup_window_s,
            overlap: row.overlap,
            version: row.version,
            next_fire_at: row.next_fire_at,
            last_fired_at: row.last_fired_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// What was not found for a reminder that is to be written is its account.
pub fn no_such_account(error: store::Error) -> Problem {
    match error {
        store::Error::NotFound => Problem::no_such("account_id", "is not an account of yours"),
        error => error.into(),
    }
}

/// Which reminders.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only those in this state.
    status: Option<Status>,
    /// Only those of this account.
    account_id: Option<AccountId>,
    /// Items of a page: 1 to 200; 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(min_length = 1, max_length = 128)]
    cursor: Option<String>,
}

/// Create a reminder
///
/// What recurs fires from now on, wherever its start lies. A start of what fires once, up to a minute ago, is taken as the next full
/// minute; an older one is refused.
#[utoipa::path(post, path = "/v1/reminders", tag = "Reminders", request_body = Wish,
    responses((status = 201, body = Reminder), (status = 404, description = "There is no such account", body = Body, content_type = "application/problem+json")))]
pub async fn create(
    State(context): State<Context>,
    caller: Caller,
    request: Once<extract::Json<Wish>>,
) -> Result<Response> {
    let mut turn = match request.begin(&context, Some(caller.tenant)).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let now = reminders::now(turn.db()).await?;
    let plan = request.body.0.checked(|spec| spec.check(now, 2))?;
    let created = reminders::create(turn.db(), caller.tenant, &plan).await;
    let reminder = created.map_err(no_such_account)?;
    let location = format!("/v1/reminders/{}", reminder.id);
    let account = reminder.account_id;
    turn.end(&context, Done::made(location, &Reminder::from(reminder))?.of(account)).await
}

/// List reminders
///
/// Oldest first. A page ends early after 4 MiB of texts. An empty one says which filter left nothing.
#[utoipa::path(get, path = "/v1/reminders", tag = "Reminders", params(Filter),
    responses((status = 200, body = Page<Reminder>)))]
pub async fn list(
    State(context): State<Context>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Reminder>>> {
    let limit = page::limit(filter.limit)?;
    let after = page::read_time_cursor(filter.cursor.as_deref())?;
    let chosen = StoreFilter { status: filter.status, account: filter.account_id, after };
    let listed = reminders::list(&context.db, caller.tenant, chosen, limit).await?;
    let page = Page::of(listed, |(at, id)| page::time_cursor(at, id), Reminder::from);
    Ok(Json(page.say_if_empty(&[
        ("status", filter.status.map(|status| status.as_str().to_owned())),
        ("account_id", filter.account_id.map(|id| id.to_string())),
    ])))
}

/// Read a reminder
///
/// Its `ETag` is for `If-Match` of an edit: it changes with each.
#[utoipa::path(get, path = "/v1/reminders/{reminder}", tag = "Reminders", params(("reminder" = ReminderId, Path)),
    responses((status = 200, body = Reminder, headers(("ETag" = String, description = "The version, for `If-Match`")))))]
pub async fn get(
    State(context): State<Context>,
    caller: Caller,
    Path(reminder): Path<ReminderId>,
) -> Result<([(HeaderName, String); 1], Json<Reminder>)> {
    let reminder = reminders::get(&context.db, caller.tenant, reminder).await?;
    Ok((tag(&reminder), Json(reminder.into())))
}

/// Delete a reminder
///
/// What was pending never fires; the history of its runs stays readable.
#[utoipa::path(delete, path = "/v1/reminders/{reminder}", tag = "Reminders", params(("reminder" = ReminderId, Path)),
    responses((status = 204)))]
pub async fn delete(
    State(context): State<Context>,
    caller: Caller,
    Path(reminder): Path<ReminderId>,
) -> Result<StatusCode> {
    reminders::delete(&context.db, caller.tenant, reminder).await?;
    context.bus.signal(caller.tenant);
    Ok(StatusCode::NO_CONTENT)
}
