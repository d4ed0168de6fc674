//! Deliveries to webhooks in answers of the API.

use chrono::{DateTime, Utc};
use domain::id::{AccountId, DeliveryId, WebhookId};
use domain::webhook::delivery::State;
use serde::Serialize;
use store::webhooks::deliveries;
use utoipa::ToSchema;

/// A delivery, without the event's data.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delivery {
    /// Its id. The receiver gets it as `webhook-id`, the same at each attempt.
    pub id: DeliveryId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The event's id; null for a test.
    #[schema(example = "7421-93")]
    pub event_id: Option<String>,
    /// The event's kind.
    #[schema(example = "account.status_changed")]
    pub kind: String,
    /// The account of the event, if it has one.
    pub account_id: Option<AccountId>,
    /// Its state.
    pub state: State,
    /// The number of attempts so far, without those that met a rate limit of the receiver.
    pub attempts: i32,
    /// The earliest time of the next attempt; null if it has ended.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The HTTP status of the answer to the last attempt.
    pub last_status: Option<i32>,
    /// Why the last attempt failed: `status`, `timeout`, `address`, `connect`, `tls` or `http`. Or why it was given up:
    /// `overflow` (too many refused deliveries were waiting) or `expired` (it could not be tried for days).
    pub last_error: Option<String>,
    /// When the event happened.
    pub happened_at: DateTime<Utc>,
    /// When it was delivered or given up.
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<deliveries::Delivery> for Delivery {
    fn from(row: deliveries::Delivery) -> Self {
        Self {
            id: row.id,
            webhook_id: row.webhook_id,
            event_id: row.event_id,
            kind: row.kind,
            account_id: row.account_id,
            state: row.state,
            attempts: row.attempts,
            next_attempt_at: row.next_attempt_at,
            last_status: row.last_status,
            last_error: row.last_error,
            happened_at: row.happened_at,
            finished_at: row.finished_at,
        }
    }
}

/// The result of a replay.
#[derive(Debug, Serialize, ToSchema)]
pub struct Replayed {
    /// The number of deliveries that are sent again.
    pub replayed: i64,
    /// Null if there is no more. Otherwise ask again: with this as `since`, or with `failed` as before.
    pub next_since: Option<DateTime<Utc>>,
}

impl From<deliveries::Replayed> for Replayed {
    fn from(row: deliveries::Replayed) -> Self {
        Self { replayed: row.replayed, next_since: row.next_since }
    }
}
