//! Pure. The steps that several rules of the machine share.

use std::time::Duration;

use domain::account::Status;
use process::clock::BootTime;

use super::action::Action;
use super::state::{After, End, Purpose, State};

/// A connection that has had its turn is logged in, or shows a code, within this; so is the close after a phone's yes.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// A logout is taken for done after this; the link's own bound is shorter.
const LOGOUT: Duration = Duration::from_secs(15);
/// A close that we asked for is taken for done after this.
const CLOSING: Duration = Duration::from_secs(10);

pub(super) fn closing(then: After, actions: Vec<Action>, now: BootTime) -> (State, Vec<Action>) {
    (State::Closing { deadline: now + CLOSING, then }, actions)
}

/// A return queues at the limiter of new connections; for everything else a person waits.
pub(super) fn opening(purpose: Purpose, tries: u32) -> (State, Vec<Action>) {
    let queue = match purpose {
        Purpose::Resume => true,
        Purpose::Pair(_) | Purpose::FirstLogin | Purpose::LogOut { .. } => false,
    };
    (State::Opening { purpose, tries, until: None }, vec![Action::Open { queue }])
}

/// What is left to do for an end that a logout preceded; `confirmed`: WhatsApp said that the device is gone.
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

/// The device is to be logged out; what follows is `end`.
pub(super) fn logging_out(end: End, now: BootTime) -> (State, Vec<Action>) {
    (State::LoggingOut { end, until: now + LOGOUT }, vec![Action::Logout])
}
