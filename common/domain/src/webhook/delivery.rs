//! Pure. The states and the ids of deliveries.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use crate::id::{DeliveryId, WebhookId};

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", schema(as = DeliveryState))]
pub enum State {
    /// It waits for its next attempt.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// It is not tried again: all attempts have failed, or it was given up.
    Failed,
}

/// The id of the delivery of one event to one webhook. It follows from both, so an event that is posted again after a
/// crash has the same id, although nothing was written before the first post. `event` is the event's position, and
/// `created_ms` when it was written, in unix milliseconds. Like all ids it is a UUIDv7 and sorts by age.
#[must_use]
pub fn id(webhook: WebhookId, event: (i64, i64), created_ms: i64) -> DeliveryId {
    let hash =
        Sha256::new().chain_update(webhook.0).chain_update(event.0.to_be_bytes()).chain_update(event.1.to_be_bytes());
    let mut bytes = [0; 10];
    bytes.iter_mut().zip(hash.finalize()).for_each(|(byte, hashed)| *byte = hashed);
    DeliveryId(Builder::from_unix_timestamp_millis(created_ms.max(0).unsigned_abs(), &bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R63: an event has one id at each webhook, whoever posts it.
    #[test]
    fn an_id_follows_from_webhook_and_event() {
        let (one, other) = (WebhookId::new(), WebhookId::new());
        let first = id(one, (17, 4), 1_700_000_000_000);
        assert_eq!(first, id(one, (17, 4), 1_700_000_000_000));
        assert_eq!(first.0.get_version_num(), 7);
        for different in [
            id(other, (17, 4), 1_700_000_000_000),
            id(one, (17, 5), 1_700_000_000_000),
            id(one, (18, 4), 1_700_000_000_000),
        ] {
            assert_ne!(first, different);
        }
        assert!(first < id(one, (1, 1), 1_700_000_000_001), "it sorts by age");
        assert_eq!(id(one, (1, 1), -1).0.get_version_num(), 7);
    }
}
