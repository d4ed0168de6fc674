//! Linking a phone and unlinking it, as it is answered.

use chrono::{DateTime, Utc};
use domain::account::{Method, Status, Step};
use serde::Serialize;
use store::accounts;
use utoipa::ToSchema;

/// The pairing under way at an account.
#[derive(Serialize, ToSchema)]
pub struct Pairing {
    /// What the account is right now: `pending` while a pairing is under way.
    pub status: Status,
    /// How the phone is linked; null when no pairing is under way.
    pub method: Option<Method>,
    /// What it waits for; null when no pairing is under way, or a phone has accepted.
    pub step: Option<Step>,
    /// At step `passkey`: what the phone's owner must do, for a person.
    pub advice: Option<String>,
    /// At step `passkey`, until it was presented: the WebAuthn request options for the account's passkey, as WhatsApp sent
    /// them. The credential goes to `pair/passkey`.
    #[schema(value_type = Option<Object>)]
    pub passkey_options: Option<serde_json::Value>,
    /// At step `passkey`, after it was presented: the code that the phone must show, too. Say so at `pair/passkey/confirm`.
    #[schema(example = "ABCD-1234")]
    pub passkey_code: Option<String>,
    /// When the pairing ends if no phone was linked by then.
    pub window_ends_at: Option<DateTime<Utc>>,
    /// The present QR code's number within this pairing, from 1.
    pub qr_number: Option<i32>,
    /// When the present QR code stops working.
    pub qr_expires_at: Option<DateTime<Utc>>,
    /// The eight characters to type on the phone, once WhatsApp gave them.
    #[schema(example = "ABCD1234")]
    pub code: Option<String>,
}

impl From<accounts::Pairing> for Pairing {
    fn from(row: accounts::Pairing) -> Self {
        Self {
            status: row.status,
            method: row.method,
            step: row.step,
            advice: row.advice,
            passkey_options: row.passkey_options,
            passkey_code: row.passkey_code,
            window_ends_at: row.window_ends_at,
            qr_number: row.qr_number,
            qr_expires_at: row.qr_expires_at,
            code: row.code,
        }
    }
}

/// How an unpair ended.
#[derive(Serialize, ToSchema)]
pub struct Unpaired {
    /// What the account is now: `unpaired`.
    pub status: Status,
    /// Nothing was linked or live: there was nothing to do.
    pub already_disconnected: bool,
    /// What is left to do on the phone; null where nothing was linked.
    #[schema(
        example = "The phone goes on listing this device until it notices: remove it there under Linked devices, or use POST …/logout next time"
    )]
    pub advice: Option<&'static str>,
}

/// How a logout ended.
#[derive(Serialize, ToSchema)]
pub struct LoggedOut {
    /// What the account is now: `unpaired`.
    pub status: Status,
    /// WhatsApp said that the device is gone: the phone lists it no more.
    pub confirmed: bool,
    /// What is left to do on the phone; null where WhatsApp confirmed, or nothing was linked.
    pub advice: Option<&'static str>,
}
