//! Pure. The life of an account: decides how a request, a report of its session or a duty of the scheduler changes its
//! status and its wanted state. The store writes the result.

use serde::{Deserialize, Serialize};

use super::Status;
use crate::conflict::Conflict;

/// The state that an account should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum Wanted {
    /// It should have a connection.
    Online,
    /// It should have no connection.
    Offline,
    /// It should be unlinked on WhatsApp's side as well. The account stays.
    Unlinked,
    /// It should be logged out and removed. Its tenant does not see it any more.
    Erased,
}

impl Wanted {
    /// All wanted states.
    pub const ALL: [Self; 4] = [Self::Online, Self::Offline, Self::Unlinked, Self::Erased];

    /// The value in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Unlinked => "unlinked",
            Self::Erased => "erased",
        }
    }
}

/// The state of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Its current status.
    pub status: Status,
    /// The wanted state.
    pub wanted: Wanted,
}

/// An event in the life of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Its tenant starts to link a phone.
    Pair,
    /// Its tenant unlinks the phone on this side only.
    Unpair,
    /// Its tenant asks to log the device out on WhatsApp's side.
    LogOut {
        /// Whether a phone has accepted the device and its credentials are stored. Only then there is something to log
        /// out.
        linked: bool,
    },
    /// Its tenant deletes it.
    Delete {
        /// Whether credentials are stored. If so, its owner logs the device out first.
        stored: bool,
    },
    /// The requested logout is over: WhatsApp has confirmed it, or the owner has given it up.
    LogOutOver,
    /// The logout before a removal is over: confirmed or given up.
    DeleteOver,
    /// Its session has logged in for the first time after a scan.
    Linked,
    /// As [`Event::Linked`], but the phone is already linked to another account of the tenant.
    Duplicate,
    /// Its session ends the pairing without a phone.
    GivenUp,
    /// The window of its pairing ended long ago, and no live worker owns the account.
    Abandoned,
    /// Its session reports a status. `pending` is ignored, because only a request sets it.
    Reported(Status),
    /// The worker that held its connection is not alive any more.
    Lost,
}

/// The effect of an event on an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing changes: the event comes too late or twice, or does not apply in this state.
    Stays,
    /// The account has this state from now on.
    Becomes(State),
    /// The account's row is removed.
    Gone,
}

impl Step {
    /// The new state; `None` if the account stays as it is, or is removed.
    #[must_use]
    pub const fn state(self) -> Option<State> {
        match self {
            Self::Becomes(state) => Some(state),
            Self::Stays | Self::Gone => None,
        }
    }
}

/// Decides the effect of an event on an account. Requests of its tenant do not reach an account that is wanted
/// `erased`, because it is hidden.
///
/// # Errors
/// [`Conflict::AlreadyConnected`] if a connected account is to be paired.
pub fn decide(state: State, event: Event) -> Result<Step, Conflict> {
    let State { status, wanted } = state;
    let to = |status, wanted| Ok(Step::Becomes(State { status, wanted }));
    match (event, wanted) {
        (Event::Pair | Event::Unpair | Event::LogOut { .. } | Event::Abandoned, Wanted::Erased)
        | (Event::LogOutOver, Wanted::Online | Wanted::Offline | Wanted::Erased)
        | (Event::DeleteOver, Wanted::Online | Wanted::Offline | Wanted::Unlinked)
        | (Event::Delete { stored: true }, Wanted::Erased)
        | (Event::Reported(Status::Pending), _) => Ok(Step::Stays),
        (Event::DeleteOver, Wanted::Erased) | (Event::Delete { stored: false }, _) => Ok(Step::Gone),
        (Event::Pair, _) if !status.may_pair() => Err(Conflict::AlreadyConnected),
        (Event::Pair, _) => to(Status::Pending, Wanted::Online),
        (Event::Unpair | Event::LogOut { linked: false }, _) | (Event::LogOutOver, Wanted::Unlinked) => {
            to(Status::Unpaired, Wanted::Offline)
        }
        (Event::LogOut { linked: true }, _) => to(status, Wanted::Unlinked),
        (Event::Delete { stored: true }, _) => to(status, Wanted::Erased),
        (Event::Linked, _) if matches!(status, Status::Unpaired | Status::LoggedOut) => Ok(Step::Stays),
        (Event::Linked, _) => to(Status::Connected, wanted),
        (Event::Duplicate, _) => to(Status::Unpaired, wanted_after(Status::Unpaired, wanted)),
        (Event::GivenUp, _) if matches!(status, Status::Pending) => {
            to(Status::Unpaired, wanted_after(Status::Unpaired, wanted))
        }
        (Event::Abandoned, _) if matches!(status, Status::Pending) => to(Status::Unpaired, Wanted::Offline),
        (Event::Reported(status), _) => to(status, wanted_after(status, wanted)),
        (Event::Lost, _) if matches!(status, Status::Connected) => to(Status::Disconnected, wanted),
        (Event::GivenUp | Event::Abandoned | Event::Lost, _) => Ok(Step::Stays),
    }
}

/// The wanted state after a session has left the account in this status. `online` becomes `offline` when no phone is
/// linked any more. Every other wanted state stays.
#[must_use]
pub const fn wanted_after(status: Status, wanted: Wanted) -> Wanted {
    match (status, wanted) {
        (Status::Unpaired | Status::LoggedOut, Wanted::Online) => Wanted::Offline,
        _ => wanted,
    }
}
