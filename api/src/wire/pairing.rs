//! Pairing, unpairing and logout in answers of the API.

use chrono::{DateTime, Utc};
use domain::account::{Method, Status, Step};
use serde::Serialize;
use store::accounts;
use utoipa::ToSchema;

/// The pairing under way at an account.
#[derive(Serialize, ToSchema)]
pub struct Pairing {
    /// The current status of the account: `pending` while a pairing is under way.
    pub status: Status,
    /// How the phone is linked; null if no pairing is under way.
    pub method: Option<Method>,
    /// What it waits for; null if no pairing is under way, or a phone has accepted.
    pub step: Option<Step>,
    /// At step `passkey`: what the phone's owner must do, for a person.
    pub advice: Option<String>,
    /// At step `passkey`, until the passkey is presented: the WebAuthn request options for it, as WhatsApp sent them.
    /// Post the credential to `pair/passkey`.
    #[schema(value_type = Option<Object>)]
    pub passkey_options: Option<serde_json::Value>,
    /// At step `passkey`, after the passkey was presented: the code that the phone must show as well. Confirm that at
    /// `pair/passkey/confirm`.
    #[schema(example = "ABCD-1234")]
    pub passkey_code: Option<String>,
    /// When the pairing ends if no phone was linked by then.
    pub window_ends_at: Option<DateTime<Utc>>,
    /// The number of the current QR code within this pairing, from 1.
    pub qr_number: Option<i32>,
    /// When the current QR code expires.
    pub qr_expires_at: Option<DateTime<Utc>>,
    /// The eight characters to type on the phone, once WhatsApp has sent them.
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

/// The result of an unpair.
#[derive(Serialize, ToSchema)]
pub struct Unpaired {
    /// The status of the account: always `unpaired`.
    pub status: Status,
    /// True if nothing was linked or live, so that there was nothing to do.
    pub already_disconnected: bool,
    /// What is left to do on the phone; null if nothing was linked.
    #[schema(
        example = "The phone goes on listing this device until it notices: remove it there under Linked devices, or use POST …/logout next time"
    )]
    pub advice: Option<&'static str>,
}

/// The result of a logout.
#[derive(Serialize, ToSchema)]
pub struct LoggedOut {
    /// The status of the account: always `unpaired`.
    pub status: Status,
    /// True if WhatsApp confirmed that the device is removed. The phone no longer lists it then.
    pub confirmed: bool,
    /// What is left to do on the phone; null if WhatsApp confirmed, or if nothing was linked.
    pub advice: Option<&'static str>,
}
