//! Pure. The life of an account: what a request, the report of its session or a duty makes of what it is and of what it should be.
//! The store carries it out.

use serde::{Deserialize, Serialize};

use super::Status;
use crate::conflict::Conflict;

/// What an account should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum Wanted {
    /// Live.
    Online,
    /// Not live.
    Offline,
    /// Unlinked on WhatsApp's side as well; the account stays.
    Unlinked,
    /// Logged out and removed. Its tenant does not see it any more.
    Erased,
}

impl Wanted {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Online, Self::Offline, Self::Unlinked, Self::Erased];

    /// The word that the row holds.
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

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// What it is.
    pub status: Status,
    /// What it should be.
    pub wanted: Wanted,
}

/// Something happened to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Its tenant links a phone.
    Pair,
    /// Its tenant unlinks the phone here.
    Unpair,
    /// Its tenant has the device logged out on WhatsApp's side.
    LogOut {
        /// A phone has accepted the device, and its credentials are stored: there is something to log out.
        linked: bool,
    },
    /// Its tenant removes it for good.
    Delete {
        /// Credentials are stored: its owner logs the device out first.
        stored: bool,
    },
    /// The logout that was asked for is over: WhatsApp has confirmed it, or its owner has given it up.
    LogOutOver,
    /// The logout before a removal is over, in the same ways.
    DeleteOver,
    /// Its session has logged in for the first time after a scan.
    Linked,
    /// As [`Event::Linked`], but the phone is linked to another account of the tenant already.
    Duplicate,
    /// Its session ends the pairing without a phone.
    GivenUp,
    /// Its pairing is long over, and nobody has it.
    Abandoned,
    /// Its session says what it is. Never `pending`: only a request makes an account that.
    Reported(Status),
    /// The worker that held its connection fell silent.
    Lost,
}

/// What becomes of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The event changes nothing: it comes too late, twice, or is not for this state.
    Stays,
    /// This, from now on.
    Becomes(State),
    /// Its row is removed.
    Gone,
}

impl Step {
    /// What the account is from now on; none: it stays as it is, or is gone.
    #[must_use]
    pub const fn state(self) -> Option<State> {
        match self {
            Self::Becomes(state) => Some(state),
            Self::Stays | Self::Gone => None,
        }
    }
}

/// What an event makes of an account. One that is wanted `erased` is hidden from its tenant, whose requests do not reach it.
///
/// # Errors
/// [`Conflict::AlreadyConnected`] when a connected account is to be paired.
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

/// What an account should be once its session has left it in this status: the wish to be online ends with the phone, and no other
/// wish does.
#[must_use]
pub const fn wanted_after(status: Status, wanted: Wanted) -> Wanted {
    match (status, wanted) {
        (Status::Unpaired | Status::LoggedOut, Wanted::Online) => Wanted::Offline,
        _ => wanted,
    }
}
