//! Pure. The events of a session.

use std::time::Duration;

use domain::account::Status;
pub use domain::account::life::Wanted;
use domain::id::MessageId;
use process::telemetry::metrics::labels::Loss;

use crate::link::CloseReason;

/// The account's row, as far as the machine needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The desired state.
    pub wanted: Wanted,
    /// The status in the row.
    pub status: Status,
    /// A phone has accepted these credentials.
    pub registered: bool,
    /// The row has a phone number: the duplicate guard was asked and passed.
    pub linked: bool,
    /// The rest of the pairing window.
    pub window_left: Duration,
    /// The rest of a temporary ban.
    pub banned_left: Duration,
    /// The number to pair by code; `None` to pair by QR code.
    pub code_for: Option<String>,
    /// A group sync was requested.
    pub groups_wanted: bool,
    /// The phone's owner has answered the passkey gate.
    pub passkey_answered: bool,
}

/// What WhatsApp's passkey gate asks of the phone's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passkey {
    /// Answer these WebAuthn request options with the account's passkey.
    Present(String),
    /// Compare this code with the one on the phone.
    Compare(String),
}

/// A message that was handed over and not yet answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered {
    /// The message.
    pub message: MessageId,
    /// How often it was handed over.
    pub attempts: i32,
    /// How long it has waited.
    pub waited: Duration,
    /// The longest wait of any other message; zero if there is none.
    pub others: Duration,
}

/// The identity of a linked account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The phone number, digits only.
    pub number: String,
    /// The device's address.
    pub jid: String,
    /// The device's LID address, which hides the phone number.
    pub lid: Option<String>,
    /// The name that recipients see; empty if not known.
    pub push_name: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The row was read under our epoch: at the start, on a bell, or after a re-check.
    Row(Facts),
    /// The instant of the state ([`State::wakes_at`](super::state::State::wakes_at)) has come.
    Tick,
    /// The connection was opened and is no longer queued: from now on its progress has a deadline.
    Opened,
    /// A QR code arrived. When pairing by code, it only shows that the server listens.
    Code {
        /// The text that the QR code encodes.
        code: String,
        /// How long WhatsApp accepts it.
        lifetime: Duration,
    },
    /// The pairing code shown is used up.
    CodeStale,
    /// The phone's owner must act at the passkey gate.
    Advice(Passkey),
    /// A phone accepted the device.
    Accepted {
        /// The device's address.
        jid: String,
    },
    /// A phone tried to link the device and failed.
    PairFailed(String),
    /// The connection is logged in.
    Connected(Who),
    /// The answer of the duplicate guard: `None` if the number is free, otherwise the label of the account that has it.
    Linked(Option<String>),
    /// The logout call has ended.
    LoggedOut {
        /// Whether WhatsApp said that the device is gone.
        confirmed: bool,
    },
    /// The message that has waited longest for its acknowledgement. Sent at regular intervals.
    Waits(Unanswered),
    /// The outcome of a send is unknown, or the connection takes no messages: the connection cannot be trusted.
    /// Contains the message that was sent, if it still waits for an answer.
    Stale(Option<Unanswered>),
    /// A message was blamed for the end of a connection.
    Blamed {
        /// The message.
        message: MessageId,
        /// How often it was handed over.
        attempts: i32,
        /// How often it was to blame, this time included.
        times: i32,
    },
    /// While finishing: nothing is in flight any more, and everything that was is written.
    Idle,
    /// A group or its membership has changed.
    GroupsChanged,
    /// Reading the groups has ended, with or without success.
    GroupsRead,
    /// The connection has ended.
    Closed(CloseReason),
    /// The worker must give the account back: it stops, has too many accounts, or an operator asked for it.
    Release,
    /// The right to act is lost.
    Lost(Loss),
}
