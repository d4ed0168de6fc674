//! A QR code, as it is answered.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// The code and its life.
#[derive(Serialize, ToSchema)]
pub struct Qr {
    /// What the code says.
    pub text: String,
    /// Its number within this pairing, from 1.
    pub number: i32,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
}
