//! Deliveries to webhooks: the result of each, another try, a replay, and test events.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::id::{DeliveryId, WebhookId};
use domain::webhook::delivery::State as DeliveryState;
use process::clock;
use serde::Deserialize;
use store::webhooks::deliveries::{self, Stretch};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{self, NoBody, Path, Query};
use crate::once::{Begun, Done, Once};
use crate::page::{self, Page};
use crate::problem::{Problem, Result};
use crate::wire::delivery::{Delivery, Replayed};

/// Which deliveries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only those in this state.
    state: Option<DeliveryState>,
    /// The number of items on a page: 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the previous page.
    #[param(min_length = 1, max_length = 128)]
    cursor: Option<String>,
}

/// Send a test event
///
/// Sends a `webhook.test` to this webhook only, in the same way as an event.
#[utoipa::path(post, path = "/v1/webhooks/{webhook}/test", operation_id = "test_webhook",
    tag = "Webhooks", params(("webhook" = WebhookId, Path)),
    responses((status = 202, body = Delivery),
        (status = 409, description = "The webhook is disabled")))]
pub async fn test(
    State(context): State<Context>,
    caller: Caller,
    Path(webhook): Path<WebhookId>,
    request: Once<NoBody>,
) -> Result<Response> {
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let (delivery, after) = deliveries::test(turn.of(), webhook).await?.parts();
    turn.end(&context, Done::new(StatusCode::ACCEPTED, &Delivery::from(delivery))?.then(after)).await
}

/// List a webhook's deliveries
///
/// Newest first. Deliveries are kept two days longer than events: nine days, unless the operator sets another time.
#[utoipa::path(get, path = "/v1/webhooks/{webhook}/deliveries", operation_id = "list_deliveries", tag = "Webhooks",
    params(("webhook" = WebhookId, Path), Filter),
    responses((status = 200, body = Page<Delivery>)))]
pub async fn list(
    caller: Caller,
    Path(webhook): Path<WebhookId>,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Delivery>>> {
    let limit = page::limit(filter.limit)?;
    let newest = deliveries::newest(caller.of(), webhook);
    let before = page::number_cursor(filter.cursor.as_deref(), newest).await?;
    let rows = deliveries::list(caller.of(), webhook, filter.state, before, limit + 1).await?;
    Ok(Json(Page::cut(rows, limit, |delivery| delivery.seq.to_string(), Delivery::from)))
}

/// What to send again: all deliveries that failed, or the events of a stretch of time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"since": "2026-11-27T08:00:00Z", "until": "2026-11-27T09:00:00Z"}))]
pub struct Replay {
    /// True for every stored delivery that failed for good. Can't be combined with `since` and `until`.
    #[serde(default)]
    failed: bool,
    /// Events from this instant on, delivered or not, if they are still stored and of a kind that the webhook carries.
    since: Option<DateTime<Utc>>,
    /// Only events before this instant. The default is now.
    until: Option<DateTime<Utc>>,
}

impl Replay {
    fn stretch(&self) -> Result<Stretch> {
        let until = page::instant("until", self.until)?;
        match (self.failed, page::instant("since", self.since)?, until) {
            (true, None, None) => Ok(Stretch::Failed),
            (true, ..) => Err(Problem::field("failed", "goes without `since` and `until`")),
            (false, None, _) => Err(Problem::field("since", "is needed, unless `failed` is true")),
            (false, Some(since), until) => {
                let until = until.unwrap_or_else(clock::now);
                if since >= until {
                    return Err(Problem::field("since", "must be before `until`"));
                }
                Ok(Stretch::Time(since, until))
            }
        }
    }
}

/// Send events again
///
/// Sends about 1,000 events per call, oldest first. `next_since` says whether there are more. A delivery keeps its
/// `webhook-id`, so that a receiver can drop an event that it knows. Deliveries that are already waiting do not change.
#[utoipa::path(post, path = "/v1/webhooks/{webhook}/replay", operation_id = "replay_webhook",
    tag = "Webhooks", params(("webhook" = WebhookId, Path)), request_body = Replay,
    responses((status = 202, body = Replayed),
        (status = 409, description = "The webhook is disabled")))]
pub async fn replay(
    State(context): State<Context>,
    caller: Caller,
    Path(webhook): Path<WebhookId>,
    request: Once<extract::Json<Replay>>,
) -> Result<Response> {
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let stretch = request.body.0.stretch()?;
    let (replayed, after) = deliveries::replay(turn.of(), webhook, stretch, caller.operator()).await?.parts();
    turn.end(&context, Done::new(StatusCode::ACCEPTED, &Replayed::from(replayed))?.then(after)).await
}

/// Try a delivery again
///
/// Tries the delivery again at once. Its attempts are counted from zero. An event that was delivered is not sent again
/// (409).
#[utoipa::path(post, path = "/v1/webhooks/{webhook}/deliveries/{delivery}/retry", operation_id = "retry_delivery",
    tag = "Webhooks",
    params(("webhook" = WebhookId, Path), ("delivery" = DeliveryId, Path)),
    responses((status = 202, body = Delivery),
        (status = 409, description = "It was delivered")))]
pub async fn retry(
    State(context): State<Context>,
    caller: Caller,
    Path((webhook, delivery)): Path<(WebhookId, DeliveryId)>,
    request: Once<NoBody>,
) -> Result<Response> {
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let (delivery, after) = deliveries::retry(turn.of(), webhook, delivery).await?.parts();
    turn.end(&context, Done::new(StatusCode::ACCEPTED, &Delivery::from(delivery))?.then(after)).await
}
