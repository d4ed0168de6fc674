//! Reminders: create, list, read, replace, delete.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::Response;
use chrono::{DateTime, Utc};
use common::account::name;
use common::id::{AccountId, ReminderId};
use common::jid::Jid;
use common::message::check_text;
use common::reminder::{
    self, Accepted, Edge, Misfire, OnGap, Overlap, Recurrence, Spec, Start, Window, catch_up, summary, timezone,
};
use common::store;
use common::store::reminders::{self, Filter as StoreFilter, Plan, Status};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{self, Path, Query};
use crate::once::{Begun, Done, Once};
use crate::page::{self, Page};
use crate::problem::{Body, FieldError, Problem, Result};
use crate::routes::patch;

/// Longest name, in characters (R40).
const MAX_NAME: usize = 200;
/// Most texts of a reminder.
const MAX_MESSAGES: usize = 10;
/// Most chats of a reminder.
const MAX_TARGETS: usize = 500;
/// How often a patch is made anew that others have overtaken.
const PATCHES: usize = 10;
/// Most bytes that the texts of one firing may have in all, each counted once for each chat.
const MAX_FIRING: usize = 16 * 1024 * 1024;

/// What a reminder is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"account_id": "0199c0de-0000-7000-8000-000000000000", "name": "Weekly stand-up",
    "messages": ["Stand-up in ten minutes."], "targets": ["120363041234567890@g.us"], "start": "2027-01-04T09:00",
    "timezone": "Europe/Berlin", "recurrence": {"kind": "weekly", "weekdays": ["mon", "thu"]}, "window_end": 18}))]
pub struct Wish {
    /// The account that sends it.
    account_id: AccountId,
    /// What people call it: 1 to 200 characters.
    #[schema(example = "Weekly stand-up", min_length = 1, max_length = 200)]
    name: String,
    /// The texts, in order: 1 to 10, sent to each target one after the other. All of them for all targets: at most 16 MiB.
    #[schema(example = json!(["Stand-up in ten minutes."]), min_items = 1, max_items = 10)]
    messages: Vec<String>,
    /// The chats, in order: 1 to 500 groups or people, spelled as `to` of a message.
    #[schema(example = json!(["120363041234567890@g.us"]), min_items = 1, max_items = 500)]
    targets: Vec<String>,
    /// When it begins: wall-clock time in `timezone`, or an instant with an offset. What recurs may have begun long ago, and fires from
    /// now on.
    #[schema(example = "2027-01-04T09:00", min_length = 1, max_length = 64)]
    start: String,
    /// An IANA zone.
    #[schema(example = "Europe/Berlin", min_length = 1, max_length = 64)]
    timezone: String,
    /// What it repeats on. Neither this nor `rrule`: it fires once.
    recurrence: Option<Recurrence>,
    /// The same as an RRULE of RFC 5545, alone or in a block whose DTSTART says what `start` and `timezone` say. MINUTELY to YEARLY,
    /// nothing more often than every 5 minutes. Beside `recurrence` it must say the same.
    #[schema(example = "FREQ=WEEKLY;BYDAY=MO,TH", max_length = 1000)]
    rrule: Option<String>,
    /// What the rule leaves out, at most 500: dates such as `2026-12-25`, or times such as `2026-12-24T17:00`.
    #[serde(default)]
    #[schema(example = json!(["2027-12-27"]), max_items = 500)]
    exdates: Vec<String>,
    /// What becomes of a time that clocks skip: `shift` fires later by the gap (02:30 at 03:30), `skip` does not fire.
    #[serde(default)]
    on_gap: OnGap,
    /// From when on it may send, of a day in `timezone`: an hour or a time such as `"08:30"`; midnight if not given. Goes with
    /// `window_end`, and each time at which it fires lies between them.
    window_start: Option<Edge>,
    /// Until when it may send, also what fired in time and waits for the account: an hour from 1 to 24, or a time such as
    /// `"18:30"`. No later than `window_start`: of the next day.
    window_end: Option<Edge>,
    /// What becomes of occurrences that came due while nobody could fire them: `latest` fires the newest within the
    /// catch-up window, `all` the newest ten, `skip` none that is more than a minute late. What does not fire is `missed`.
    #[serde(default)]
    misfire: Misfire,
    /// How late an occurrence may still fire, in seconds: 60 to 86,400; 3,600 if not given. It says nothing of sending: what
    /// has fired while the account was offline is sent when that is online again, however much later, unless `window_end`
    /// ends it.
    #[schema(example = 3600, minimum = 60, maximum = 86400)]
    catchup_window_s: Option<i32>,
    /// What becomes of an occurrence while the run before is in progress: `skip` misses it, `queue` lets it wait, `allow`
    /// sends both.
    #[serde(default)]
    overlap: Overlap,
    // what an answer says beside that: it may be sent back, and is not looked at
    #[serde(default, rename = "id")]
    #[schema(ignore)]
    _id: IgnoredAny,
    #[serde(default, rename = "status")]
    #[schema(ignore)]
    _status: IgnoredAny,
    #[serde(default, rename = "summary")]
    #[schema(ignore)]
    _summary: IgnoredAny,
    #[serde(default, rename = "version")]
    #[schema(ignore)]
    _version: IgnoredAny,
    #[serde(default, rename = "next_fire_at")]
    #[schema(ignore)]
    _next_fire_at: IgnoredAny,
    #[serde(default, rename = "last_fired_at")]
    #[schema(ignore)]
    _last_fired_at: IgnoredAny,
    #[serde(default, rename = "created_at")]
    #[schema(ignore)]
    _created_at: IgnoredAny,
    #[serde(default, rename = "updated_at")]
    #[schema(ignore)]
    _updated_at: IgnoredAny,
}

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

impl Wish {
    /// Checks everything; `schedule` checks when it fires, for a new reminder or for one that is edited. The problem names
    /// every field that is wrong by itself.
    fn checked(
        &self,
        schedule: impl FnOnce(&Spec<'_>) -> std::result::Result<Accepted, reminder::Error>,
    ) -> Result<Plan> {
        let mut errors = Vec::new();
        let name = name(&self.name, MAX_NAME).map_err(|error| note(&mut errors, "name", error)).unwrap_or_default();
        self.check_messages(&mut errors);
        let targets = self.canonical_targets(&mut errors);
        let catchup_window_s = self.catchup_window_s.unwrap_or(catch_up::DEFAULT_WINDOW_S);
        if !catch_up::WINDOW_S.contains(&catchup_window_s) {
            note(&mut errors, "catchup_window_s", "must be 60 to 86,400 seconds");
        }
        let bytes: usize = self.messages.iter().map(String::len).sum();
        if errors.is_empty() && bytes * targets.len() > MAX_FIRING {
            let most = MAX_FIRING / 1024 / targets.len().max(1);
            note(
                &mut errors,
                "messages",
                format_args!("must have at most {most} KiB in all for {} targets", targets.len()),
            );
        }
        let plan = schedule(&self.spec()).map_err(|error| note(&mut errors, error.field, error.message)).ok();
        match plan {
            Some(when) if errors.is_empty() => Ok(Plan {
                account: self.account_id,
                name,
                timezone: self.timezone.clone(),
                start_local: when.start.local,
                start_later: when.start.is_later(when.tz),
                rrule: when.rrule,
                times: when.times,
                exdates: when.exdates,
                on_gap: self.on_gap,
                recurrence: self.recurrence.as_ref().and_then(|spec| serde_json::to_value(spec).ok()),
                window: when.window,
                misfire: self.misfire,
                catchup_window_s,
                overlap: self.overlap,
                next_fire_at: when.first_fire,
                messages: self.messages.clone(),
                targets,
                expected: None,
            }),
            _ => Err(Problem::Invalid(errors)),
        }
    }

    fn check_messages(&self, errors: &mut Vec<FieldError>) {
        if !(1..=MAX_MESSAGES).contains(&self.messages.len()) {
            note(errors, "messages", format_args!("must be 1 to {MAX_MESSAGES} texts"));
        }
        for (place, text) in self.messages.iter().enumerate().take(MAX_MESSAGES) {
            if let Err(error) = check_text(text) {
                note(errors, format!("messages[{place}]"), error);
            }
        }
    }

    fn canonical_targets(&self, errors: &mut Vec<FieldError>) -> Vec<String> {
        if !(1..=MAX_TARGETS).contains(&self.targets.len()) {
            note(errors, "targets", format_args!("must be 1 to {MAX_TARGETS} chats"));
        }
        let mut seen = HashSet::new();
        let mut targets = Vec::new();
        for (place, text) in self.targets.iter().enumerate().take(MAX_TARGETS) {
            match text.parse::<Jid>() {
                Ok(jid) if seen.insert(jid.clone()) => targets.push(jid.as_str().to_owned()),
                Ok(_) => note(errors, format!("targets[{place}]"), "stands there twice"),
                Err(error) => note(errors, format!("targets[{place}]"), error),
            }
        }
        targets
    }

    fn spec(&self) -> Spec<'_> {
        Spec {
            start: &self.start,
            timezone: &self.timezone,
            recurrence: self.recurrence.as_ref(),
            rrule: self.rrule.as_deref(),
            exdates: &self.exdates,
            on_gap: self.on_gap,
            window_start: self.window_start.as_ref(),
            window_end: self.window_end.as_ref(),
        }
    }
}

fn note(errors: &mut Vec<FieldError>, field: impl Into<String>, message: impl ToString) {
    errors.push(FieldError { field: field.into(), message: message.to_string() });
}

/// What was not found for a reminder that is to be written is its account.
fn no_such_account(error: store::Error) -> Problem {
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
    let plan = request.body.0.checked(|spec| spec.check(now, 1))?;
    let created = reminders::create(turn.db(), caller.tenant, &plan).await;
    let reminder = created.map_err(no_such_account)?;
    let location = format!("/v1/reminders/{}", reminder.id);
    turn.end(&context, Done::made(location, &Reminder::from(reminder))?).await
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

/// The `ETag` of an answer: what `If-Match` of an edit compares.
fn tag(reminder: &reminders::Reminder) -> [(HeaderName, String); 1] {
    [(header::ETAG, format!("\"{}\"", reminder.version))]
}

/// The version that `If-Match` asks for; none: whatever it is.
///
/// # Errors
/// When the reminder has another one.
fn expected(headers: &HeaderMap, reminder: &reminders::Reminder) -> Result<Option<i32>> {
    let mut tags = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let text = value.to_str().map_err(|_| Problem::field("If-Match", "must be ETags such as \"3\""))?;
        tags.extend(text.split(',').map(|tag| tag.trim().to_owned()));
    }
    let own = format!("\"{}\"", reminder.version);
    if tags.is_empty() || tags.iter().any(|tag| tag == "*") {
        Ok(None)
    } else if tags.contains(&own) {
        Ok(Some(reminder.version))
    } else {
        Err(store::Error::Changed(reminder.version).into())
    }
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

/// Carries out an edit of a reminder as it was just read.
async fn edit(
    context: &Context,
    caller: &Caller,
    stored: &reminders::Reminder,
    wish: &Wish,
    expected: Option<i32>,
) -> Result<reminders::Reminder> {
    let (db, tenant) = (&context.db, caller.tenant);
    // an edit of what does not fire says nothing of past and future
    let plan = wish.checked(|spec| spec.check(DateTime::UNIX_EPOCH, 1));
    if let Ok(plan) = plan
        && stored.fires_as(&plan)
        && reminders::rename(db, tenant, stored.id, &Plan { expected, ..plan }).await?
    {
        return Ok(reminders::get(db, tenant, stored.id).await?);
    }
    let past = reminders::past(db, tenant, stored.id).await?;
    let plan = wish.checked(|spec| spec.check_again(&past))?;
    reminders::update(db, tenant, stored.id, &Plan { expected, ..plan }).await.map_err(no_such_account)
}

/// Replace a reminder
///
/// Whole, texts and targets included. An edit that leaves account, texts, targets, schedule and window as they are changes nothing of what
/// fires: runs go on, and a reminder that rests does so still. Any other arms it anew, one that recurs with its first occurrence from now on: what was
/// pending under the old plan never fires, and what of it was being sent ends where it is. An occurrence that had come due,
/// of which nothing was sent yet, goes out at the next full minute as it was edited, if the new plan has it too and its
/// window is open. What was handed over to WhatsApp by then counts as sent, and does not go out again.
/// What `GET` answers can be sent back: what can't be set is not looked at.
#[utoipa::path(put, path = "/v1/reminders/{reminder}", tag = "Reminders",
    params(("reminder" = ReminderId, Path), ("If-Match" = Option<String>, Header, max_length = 64, description = "The `ETag` that was read: an edit in between is answered with 412")),
    request_body = Wish,
    responses((status = 200, body = Reminder, headers(("ETag" = String, description = "The version, for `If-Match`"))), (status = 412, description = "It was edited since it was read", body = Body, content_type = "application/problem+json")))]
pub async fn update(
    State(context): State<Context>,
    caller: Caller,
    Path(reminder): Path<ReminderId>,
    headers: HeaderMap,
    extract::Json(wish): extract::Json<Wish>,
) -> Result<([(HeaderName, String); 1], Json<Reminder>)> {
    // Whether it is theirs goes first: a stranger learns nothing from what is wrong with the rest.
    let stored = reminders::get(&context.db, caller.tenant, reminder).await?;
    let expected = expected(&headers, &stored)?;
    let updated = edit(&context, &caller, &stored, &wish, expected).await?;
    context.bus.signal(caller.tenant);
    Ok((tag(&updated), Json(updated.into())))
}

/// Change fields of a reminder
///
/// A JSON merge patch (RFC 7396): fields that are given take the place of those that are there, `null` removes one, lists are replaced
/// whole; of `recurrence` single fields can be given. `recurrence` and `rrule` take each other's place. What comes of it is checked, and
/// armed, as if it had been sent whole. What others edit meanwhile is not lost: it is patched as it is then.
#[utoipa::path(patch, path = "/v1/reminders/{reminder}", tag = "Reminders",
    params(("reminder" = ReminderId, Path), ("If-Match" = Option<String>, Header, max_length = 64, description = "The `ETag` that was read: an edit in between is answered with 412")),
    request_body(content = HashMap<String, Value>, description = "Some fields, spelled as when a reminder is created", content_type = "application/merge-patch+json", example = json!({"name": "Stand-up", "window_end": "18:30", "recurrence": {"times": ["08:00", "13:30"]}})),
    responses((status = 200, body = Reminder, headers(("ETag" = String, description = "The version, for `If-Match`"))), (status = 412, description = "It was edited since it was read", body = Body, content_type = "application/problem+json")))]
pub async fn change(
    State(context): State<Context>,
    caller: Caller,
    Path(reminder): Path<ReminderId>,
    headers: HeaderMap,
    extract::Json(changes): extract::Json<Value>,
) -> Result<([(HeaderName, String); 1], Json<Reminder>)> {
    for tries in 1.. {
        let stored = reminders::get(&context.db, caller.tenant, reminder).await?;
        let asked = expected(&headers, &stored)?;
        let wish = patch::wish(Reminder::from(stored.clone()), &changes)?;
        match edit(&context, &caller, &stored, &wish, Some(stored.version)).await {
            // somebody else was quicker: what they wrote is patched
            Err(Problem::Changed(_)) if asked.is_none() && tries < PATCHES => {}
            updated => {
                let updated = updated?;
                context.bus.signal(caller.tenant);
                return Ok((tag(&updated), Json(updated.into())));
            }
        }
    }
    Err(Problem::Unavailable)
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
