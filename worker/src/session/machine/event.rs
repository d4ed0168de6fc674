//! Pure. What can happen to a session.

use std::time::Duration;

use domain::account::Status;
pub use domain::account::life::Wanted;
use domain::id::MessageId;
use process::telemetry::metrics::labels::Loss;

use crate::link::CloseReason;

/// The account's row, as far as the machine needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it should be.
    pub wanted: Wanted,
    /// What it is said to be.
    pub status: Status,
    /// A phone accepted these credentials.
    pub registered: bool,
    /// Its number is in the row: the duplicate guard has been asked.
    pub linked: bool,
    /// What is left of the pairing window.
    pub window_left: Duration,
    /// What is left of a temporary ban.
    pub banned_left: Duration,
    /// The number to pair by code; none: by QR.
    pub code_for: Option<String>,
    /// A group sync was asked for.
    pub groups_wanted: bool,
    /// The phone's owner has answered what the passkey gate asked.
    pub passkey_answered: bool,
}

/// What WhatsApp's passkey gate wants of the phone's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passkey {
    /// To answer these WebAuthn request options with the account's passkey.
    Present(String),
    /// To compare this code with the phone's.
    Compare(String),
}

/// A message that was handed over and is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered {
    /// Its row.
    pub message: MessageId,
    /// How often it was handed over.
    pub attempts: i32,
    /// How long it has waited.
    pub waited: Duration,
    /// How long any other one has waited at most; zero where there is none.
    pub others: Duration,
}

/// Who was linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Digits.
    pub number: String,
    /// The device's address.
    pub jid: String,
    /// Its number-free address.
    pub lid: Option<String>,
    /// The name that recipients see; empty when not known.
    pub push_name: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The row was read: at the start, on a bell, or after a re-check. It was read under our epoch.
    Row(Facts),
    /// The state's own instant ([`State::wakes_at`](super::state::State::wakes_at)) has come.
    Tick,
    /// The connection has had its turn: from now on it must get somewhere.
    Opened,
    /// A QR code came; for pairing by code it only says that the server listens.
    Code {
        /// Its text.
        code: String,
        /// How long it lives.
        lifetime: Duration,
    },
    /// The pairing code shown is used up.
    CodeStale,
    /// The phone's owner must do something that we can't.
    Advice(Passkey),
    /// A phone accepted the device, which has this address from now on.
    Accepted {
        /// The device's address.
        jid: String,
    },
    /// A phone tried and it did not work.
    PairFailed(String),
    /// The connection is logged in.
    Connected(Who),
    /// The duplicate guard's answer: `None` when the number is free, else the label of the account that has it.
    Linked(Option<String>),
    /// The logout call has ended, one way or the other.
    LoggedOut {
        /// WhatsApp said that the device is gone.
        confirmed: bool,
    },
    /// The message that has waited longest for its acknowledgement; it is looked at again and again.
    Waits(Unanswered),
    /// A send without an outcome, or a connection that takes none: it is not to be trusted. With the message that was sent, if
    /// that one waits still.
    Stale(Option<Unanswered>),
    /// A message was blamed for the end of a connection.
    Blamed {
        /// Which.
        message: MessageId,
        /// How often it was handed over.
        attempts: i32,
        /// How often it was to blame, this time included.
        times: i32,
    },
    /// While finishing: nothing is on its way any more, and all that was is written.
    Idle,
    /// A group, or who belongs to one, has changed.
    GroupsChanged,
    /// A reading of the groups has ended, whatever came of it.
    GroupsRead,
    /// The connection has ended.
    Closed(CloseReason),
    /// The worker must give the account back (stop, or too many accounts).
    Release,
    /// The right to act is gone.
    Lost(Loss),
}
