//! QR codes in answers of the API.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// A QR code for pairing.
#[derive(Serialize, ToSchema)]
pub struct Qr {
    /// The content of the code.
    pub text: String,
    /// Its number within this pairing, from 1.
    pub number: i32,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}
