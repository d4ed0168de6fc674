//! Pure. The states of a delivery.

use serde::{Deserialize, Serialize};

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
