//! Pure. Steps that several rules of the machine share.

use std::time::Duration;

use domain::account::Status;
use process::clock::BootTime;

use super::action::Action;
use super::state::{After, End, Purpose, State};

/// How long an opened connection may take to log in or show a code, and how long the close after a phone's acceptance
/// may take.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// When a logout counts as done. The link's own limit is shorter.
const LOGOUT: Duration = Duration::from_secs(15);
/// When a close that we asked for counts as done.
const CLOSING: Duration = Duration::from_secs(10);

pub(super) fn closing(then: After, actions: Vec<Action>, now: BootTime) -> (State, Vec<Action>) {
    (State::Closing { deadline: now + CLOSING, then }, actions)
}

/// Opens a connection. A resumed account queues at the limiter of new connections; for anything else a person waits.
pub(super) fn opening(purpose: Purpose, tries: u32) -> (State, Vec<Action>) {
    let queue = match purpose {
        Purpose::Resume => true,
        Purpose::Pair(_) | Purpose::FirstLogin | Purpose::LogOut { .. } => false,
    };
    (State::Opening { purpose, tries, until: None }, vec![Action::Open { queue }])
}

/// The remaining actions for an end after a logout. `confirmed`: WhatsApp said that the device is gone.
pub(super) fn finish(end: End, confirmed: bool) -> Vec<Action> {
    match end {
        End::Removed => vec![Action::Remove],
        End::Unlinked => vec![Action::Unlink { confirmed }],
        End::Settled => vec![Action::Scrub],
        End::Released | End::Lost(_) => vec![],
    }
}

pub(super) fn status(status: Status, reason: &str) -> Action {
    Action::Status { status, reason: Some(reason.to_owned()), banned_for: None }
}

/// Logs the device out. The session then ends with `end`.
pub(super) fn logging_out(end: End, now: BootTime) -> (State, Vec<Action>) {
    (State::LoggingOut { end, until: now + LOGOUT }, vec![Action::Logout])
}
