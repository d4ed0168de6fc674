//! Webhooks: the addresses to which events are posted.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::id::WebhookId;
use domain::webhook::address::Rules;
use domain::webhook::{self, address};
use serde::Deserialize;
use store::webhooks::{self, Change};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{self, NoBody, Path, Query};
use crate::once::{Begun, Done, Once};
use crate::page::{self, Page};
use crate::problem::{FieldError, Problem, Result};
use crate::routes::tenants::Paging;
use crate::wire::webhook::{Webhook, WebhookWithSecret};

/// A webhook to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// The address: https on the public internet, without user and password, up to 2,048 bytes. The operator may allow
    /// http and private networks.
    #[schema(example = "https://example.com/hook", min_length = 1, max_length = 2048)]
    url: String,
    /// The kinds of events, up to 50. An empty list means all kinds.
    #[serde(default)]
    #[schema(example = json!(["account.status_changed", "message.received"]), max_items = 50)]
    kinds: Vec<String>,
}

/// The changes of a webhook. Fields that are not given stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookChange {
    /// The address, by the same rules as for a new webhook.
    #[schema(example = "https://example.com/hook", min_length = 1, max_length = 2048)]
    url: Option<String>,
    /// The kinds of events, up to 50. An empty list means all kinds.
    #[schema(max_items = 50)]
    kinds: Option<Vec<String>>,
    /// Whether it is in use. A webhook that is enabled again goes on where it stopped, as far as events are still
    /// stored.
    enabled: Option<bool>,
}

fn checked(
    url: Option<&str>,
    kinds: Option<&[String]>,
    rules: &Rules,
) -> Result<(Option<String>, Option<Vec<String>>)> {
    let mut errors = Vec::new();
    let mut note = |field: &str, message: String| errors.push(FieldError { field: field.to_owned(), message });
    let url = url.and_then(|url| address::url(url, rules).map_err(|error| note("url", error.to_string())).ok());
    let kinds = kinds.and_then(|kinds| webhook::kinds(kinds).map_err(|error| note("kinds", error.to_string())).ok());
    if errors.is_empty() { Ok((url.map(String::from), kinds)) } else { Err(Problem::Invalid(errors)) }
}

/// Add a webhook
///
/// From now on each event of these kinds is posted to it, in the same form as in the live stream, and signed as in
/// Standard Webhooks. Each event comes at least once, and in order within an account.
///
/// Answer with 2xx within ten seconds. After any other answer the event is posted again, at growing intervals: for
/// about a day, or for some hours if you refused it with a 4xx. A 410 disables the webhook. After a 429, or a 503 with
/// `Retry-After`, all deliveries wait, and no attempt is counted. While a delivery was refused or has failed three
/// times or more, newer ones of its account go out before it.
///
/// A tenant has up to 20 webhooks.
#[utoipa::path(post, path = "/v1/webhooks", operation_id = "create_webhook",
    tag = "Webhooks", request_body = NewWebhook,
    responses((status = 201, body = WebhookWithSecret)))]
pub async fn create(
    State(context): State<Context>,
    caller: Caller,
    request: Once<extract::Json<NewWebhook>>,
) -> Result<Response> {
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let wish = &request.body.0;
    let (url, kinds) = checked(Some(&wish.url), Some(&wish.kinds), &context.webhooks)?;
    let (url, kinds) = (url.unwrap_or_default(), kinds.unwrap_or_default());
    let (webhook, secret) = webhooks::create(turn.of(), &url, &kinds, caller.operator()).await?;
    let location = format!("/v1/webhooks/{}", webhook.id);
    turn.end(&context, Done::made(location, &WebhookWithSecret::from((webhook, secret)))?.secret()).await
}

/// List webhooks
///
/// Webhooks are listed in the order in which they were added.
#[utoipa::path(get, path = "/v1/webhooks", operation_id = "list_webhooks", tag = "Webhooks", params(Paging),
    responses((status = 200, body = Page<Webhook>)))]
pub async fn list(caller: Caller, Query(paging): Query<Paging>) -> Result<Json<Page<Webhook>>> {
    let limit = page::limit(paging.limit)?;
    let after = page::read_time_cursor(paging.cursor.as_deref())?;
    let rows = webhooks::list(caller.of(), after, limit + 1).await?;
    Ok(Json(Page::cut(rows, limit, |row| page::time_cursor(row.created_at, row.id.0), Webhook::from)))
}

/// Read a webhook
#[utoipa::path(get, path = "/v1/webhooks/{webhook}", operation_id = "get_webhook",
    tag = "Webhooks", params(("webhook" = WebhookId, Path)),
    responses((status = 200, body = Webhook)))]
pub async fn get(caller: Caller, Path(webhook): Path<WebhookId>) -> Result<Json<Webhook>> {
    Ok(Json(webhooks::get(caller.of(), webhook).await?.into()))
}

/// Change a webhook
///
/// After a new `url` or `enabled`, its failures are forgotten, and waiting deliveries are tried at once.
#[utoipa::path(patch, path = "/v1/webhooks/{webhook}", operation_id = "change_webhook",
    tag = "Webhooks", params(("webhook" = WebhookId, Path)),
    request_body = WebhookChange,
    responses((status = 200, body = Webhook)))]
pub async fn change(
    State(context): State<Context>,
    caller: Caller,
    Path(webhook): Path<WebhookId>,
    extract::Json(request): extract::Json<WebhookChange>,
) -> Result<Json<Webhook>> {
    let (url, kinds) = checked(request.url.as_deref(), request.kinds.as_deref(), &context.webhooks)?;
    let change = Change { url, kinds, enabled: request.enabled };
    let changed = webhooks::change(caller.of(), webhook, &change, caller.operator()).await?;
    Ok(Json(context.announce(changed).into()))
}

/// Delete a webhook
///
/// Deletes the webhook with its deliveries. Waiting events are no longer posted.
#[utoipa::path(delete, path = "/v1/webhooks/{webhook}", operation_id = "delete_webhook",
    tag = "Webhooks", params(("webhook" = WebhookId, Path)),
    responses((status = 204)))]
pub async fn delete(caller: Caller, Path(webhook): Path<WebhookId>) -> Result<StatusCode> {
    webhooks::delete(caller.of(), webhook, caller.operator()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change a webhook's secret
///
/// For 24 hours requests carry two signatures, one by the new secret and one by the previous one, so that receivers can
/// switch.
#[utoipa::path(post, path = "/v1/webhooks/{webhook}/rotate-secret", operation_id = "rotate_webhook_secret",
    tag = "Webhooks", params(("webhook" = WebhookId, Path)),
    responses((status = 200, body = WebhookWithSecret)))]
pub async fn rotate_secret(
    State(context): State<Context>,
    caller: Caller,
    Path(webhook): Path<WebhookId>,
    request: Once<NoBody>,
) -> Result<Response> {
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let (webhook, secret) = webhooks::rotate_secret(turn.of(), webhook, caller.operator()).await?;
    turn.end(&context, Done::new(StatusCode::OK, &WebhookWithSecret::from((webhook, secret)))?.secret()).await
}
