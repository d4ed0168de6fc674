//! Pure. What the session machine asks to be done.

use std::time::Duration;

use domain::account::Status;
use domain::id::MessageId;
use process::telemetry::metrics::labels::{PairingStep, RestartCause};

use super::event::{Passkey, Who};

/// Something to do. The actor does them in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a connection.
    Open {
        /// It waits for the cluster's limiter of new connections.
        queue: bool,
    },
    /// Close it in order.
    Close,
    /// Drop it and store nothing.
    Abort,
    /// Log the device out, bounded; [`LoggedOut`](super::event::Event::LoggedOut) follows whatever comes of it.
    Logout,
    /// Read the row again under the epoch; [`Row`](super::event::Event::Row) or [`Lost`](super::event::Event::Lost) follows.
    Recheck,
    /// Put a QR code into the row.
    ShowQr {
        /// Its text.
        code: String,
        /// Its running number.
        number: i32,
        /// How long it lives.
        lifetime: Duration,
    },
    /// Ask WhatsApp for a pairing code and put it into the row.
    AskCode {
        /// The phone's number.
        phone: String,
    },
    /// Tell the operator what the phone's owner must do.
    Advise(Passkey),
    /// Hand what the phone's owner answered to WhatsApp. Without a connection it waits in the row, and ends with the pairing.
    AnswerPasskey,
    /// End the pairing: status `unpaired`, event `session.timeout`.
    GiveUp {
        /// Why, for a person.
        reason: String,
        /// What is counted.
        step: PairingStep,
    },
    /// Note that a phone accepted the device: whoever owns the account next logs in instead of showing codes.
    Accept {
        /// The device's address.
        jid: String,
    },
    /// Ask the duplicate guard and write the link; [`Linked`](super::event::Event::Linked) follows.
    Link(Who),
    /// Write a status.
    Status {
        /// Which.
        status: Status,
        /// Why, for a person.
        reason: Option<String>,
        /// When a ban ends.
        banned_for: Option<Duration>,
    },
    /// Delete the credentials.
    Scrub,
    /// Remove the account's row.
    Remove,
    /// Unlink the account here, after its device was logged out.
    Unlink {
        /// WhatsApp said that the device is gone.
        confirmed: bool,
    },
    /// Read the groups from WhatsApp into the rows.
    SyncGroups,
    /// Hand over what waits in the rows, and go on with what comes.
    StartSending,
    /// Hand over nothing more. What is on its way may still be answered.
    StopSending,
    /// There may be messages to send.
    Drain,
    /// Count against a message that a connection had to end for it; [`Blamed`](super::event::Event::Blamed) follows.
    Blame {
        /// Which.
        message: MessageId,
        /// How often it was handed over.
        attempts: i32,
    },
    /// Have a message fail that was to blame too often; its reason says that it may have arrived.
    GiveUpMessage {
        /// Which.
        message: MessageId,
        /// How often it was handed over.
        attempts: i32,
        /// How often it was to blame.
        times: i32,
    },
    /// Count a restart of the connection.
    Restart {
        /// Why, in one word.
        cause: RestartCause,
    },
    /// Tell the tenant that the account is restarted again and again.
    Unstable {
        /// How often in a row.
        restarts: u32,
        /// Why the last time, for a person.
        reason: String,
    },
    /// Tell the tenant that it has been steady since.
    Recovered {
        /// How often it was restarted in a row before.
        restarts: u32,
    },
    /// Something that can't happen did: log it.
    Unexpected(&'static str),
}
