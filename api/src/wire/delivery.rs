//! Deliveries to webhooks, as they are answered.

use chrono::{DateTime, Utc};
use domain::id::{AccountId, DeliveryId, WebhookId};
use domain::webhook::delivery::State;
use serde::Serialize;
use store::webhooks::deliveries;
use utoipa::ToSchema;

/// A delivery, without the event's data.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delivery {
    /// Its id; the receiver sees it as `webhook-id`, the same at each attempt.
    pub id: DeliveryId,
    /// Where to.
    pub webhook_id: WebhookId,
    /// The event's id; null for a test.
    #[schema(example = "7421-93")]
    pub event_id: Option<String>,
    /// The event's kind.
    #[schema(example = "account.status_changed")]
    pub kind: String,
    /// At which account it happened, if at one.
    pub account_id: Option<AccountId>,
    /// How far it is.
    pub state: State,
    /// Attempts so far, without those that met a limit of the receiver's rate.
    pub attempts: i32,
    /// When it is tried next, at the soonest; null when it has ended.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The HTTP status that the last attempt was answered with.
    pub last_status: Option<i32>,
    /// Why the last attempt failed: `status`, `timeout`, `address`, `connect`, `tls` or `http`; or why it was given up:
    /// `overflow` (too many that were refused wait) or `expired` (nobody could try it for days).
    pub last_error: Option<String>,
    /// When the event happened.
    pub happened_at: DateTime<Utc>,
    /// When it ended.
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

/// What a replay put on its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct Replayed {
    /// How many deliveries.
    pub replayed: i64,
    /// There is more: ask again, with a stretch from here on.
    pub next_since: Option<DateTime<Utc>>,
}

impl From<deliveries::Replayed> for Replayed {
    fn from(row: deliveries::Replayed) -> Self {
        Self { replayed: row.replayed, next_since: row.next_since }
    }
}
