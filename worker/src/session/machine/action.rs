//! Pure. What the session machine can ask for.

use std::time::Duration;

use domain::account::Status;
use domain::id::MessageId;
use process::telemetry::metrics::labels::{PairingStep, RestartCause};

use super::event::{Passkey, Who};

/// Something to do. The actor carries out actions in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a connection.
    Open {
        /// Whether it waits for the cluster's limiter of new connections.
        queue: bool,
    },
    /// Close the connection in order.
    Close,
    /// Drop the connection, which then stores nothing more.
    Abort,
    /// Log the device out, within a time limit. [`LoggedOut`](super::event::Event::LoggedOut) follows in any case.
    Logout,
    /// Read the row again under the epoch. [`Row`](super::event::Event::Row) or [`Lost`](super::event::Event::Lost)
    /// follows.
    Recheck,
    /// Put a QR code into the row.
    ShowQr {
        /// The text that the QR code encodes.
        code: String,
        /// Its number, counted from 1.
        number: i32,
        /// How long WhatsApp accepts it.
        lifetime: Duration,
    },
    /// Ask WhatsApp for a pairing code and put it into the row.
    AskCode {
        /// The phone's number.
        phone: String,
    },
    /// Tell the operator what the phone's owner must do.
    Advise(Passkey),
    /// Send the answer of the phone's owner to WhatsApp. Without a connection the answer stays in the row, and expires
    /// with the pairing.
    AnswerPasskey,
    /// End the pairing: status `unpaired`, event `session.timeout`.
    GiveUp {
        /// The reason, for a person.
        reason: String,
        /// How the metrics count it.
        step: PairingStep,
    },
    /// Record that a phone accepted the device, so that the next owner of the account logs in instead of showing codes.
    Accept {
        /// The device's address.
        jid: String,
    },
    /// Ask the duplicate guard and write the link. [`Linked`](super::event::Event::Linked) follows.
    Link(Who),
    /// Write a status.
    Status {
        /// The status.
        status: Status,
        /// The reason, for a person.
        reason: Option<String>,
        /// For how long the account is banned.
        banned_for: Option<Duration>,
    },
    /// Delete the credentials.
    Scrub,
    /// Remove the account's row.
    Remove,
    /// Unlink the account here, after its device was logged out.
    Unlink {
        /// Whether WhatsApp said that the device is gone.
        confirmed: bool,
    },
    /// Read the groups from WhatsApp into the rows.
    SyncGroups,
    /// Start to hand over the queued messages, now and as they come.
    StartSending,
    /// Stop handing over messages. Those in flight may still be answered.
    StopSending,
    /// Look for messages to send.
    Drain,
    /// Count against a message that a connection had to end because of it. [`Blamed`](super::event::Event::Blamed)
    /// follows.
    Blame {
        /// The message.
        message: MessageId,
        /// How often it was handed over.
        attempts: i32,
    },
    /// Fail a message that was to blame too often. Its reason says that it may have arrived.
    GiveUpMessage {
        /// The message.
        message: MessageId,
        /// How often it was handed over.
        attempts: i32,
        /// How often it was to blame.
        times: i32,
    },
    /// Count a restart of the connection.
    Restart {
        /// The cause, as a metric label.
        cause: RestartCause,
    },
    /// Tell the tenant that the account is restarted again and again.
    Unstable {
        /// How many times in a row.
        restarts: u32,
        /// The reason of the last restart, for a person.
        reason: String,
    },
    /// Tell the tenant that the account has been steady since its restarts.
    Recovered {
        /// How often it was restarted in a row before.
        restarts: u32,
    },
    /// Log that something impossible happened.
    Unexpected(&'static str),
}
