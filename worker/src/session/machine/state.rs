//! Pure. The words of the session machine: where a session can be, and what can happen to it.

use std::time::Duration;

use domain::account::Status;
use domain::id::MessageId;
use process::clock::BootTime;
use process::telemetry::metrics::labels::{Loss, SessionState};

use crate::link::CloseReason;

/// What a connection is opened for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To show codes until a phone accepts one. It never loops by itself; where WhatsApp asks for a new connection (515)
    /// it gets one, within the window.
    Pair {
        /// End of the pairing window, the single authority.
        until: BootTime,
        /// The number to pair by code; none: by QR.
        code_for: Option<String>,
    },
    /// The first login after a phone accepted the device.
    FirstLogin,
    /// To be online again with credentials that worked before.
    Resume,
    /// To log the device out on WhatsApp's side before the account is removed or unlinked.
    LogOut {
        /// [`End::Removed`] or [`End::Unlinked`].
        end: End,
    },
}

/// Where a session is. It lives as long as one claim: a newer generation has a newer epoch, hence another session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Claimed; the row has not been read yet.
    Fresh,
    /// A connection is being made.
    Opening {
        /// What for.
        purpose: Purpose,
        /// Restarts in a row before this one.
        tries: u32,
        /// Given up at this instant; none while it waits for its turn to connect.
        until: Option<BootTime>,
    },
    /// Codes are shown.
    Pairing {
        /// End of the window.
        until: BootTime,
        /// The number to pair by code; none: by QR.
        code_for: Option<String>,
        /// Codes shown so far.
        shown: i32,
        /// Restarts in a row before.
        tries: u32,
    },
    /// A phone accepted the device; WhatsApp's close (515) is the next step.
    Accepted {
        /// Without that close, the connection is given up at this instant.
        until: BootTime,
    },
    /// Logged in for the first time; the duplicate guard is being asked, for no longer than we may act.
    Linking {
        /// Restarts in a row before.
        tries: u32,
    },
    /// Logged in: the outbox is drained.
    Online {
        /// Since when.
        since: BootTime,
        /// Restarts in a row before; forgotten when it has been online for a while.
        tries: u32,
        /// How far its groups are known.
        groups: Groups,
    },
    /// The account is being given back: nothing new is sent, what is on its way is waited for.
    Finishing {
        /// Not longer than this.
        until: BootTime,
    },
    /// Waiting to open again.
    Backoff {
        /// When.
        until: BootTime,
        /// What for.
        purpose: Purpose,
        /// Restarts in a row, the coming one included.
        tries: u32,
    },
    /// Another connection took over: lease and epoch are being checked before anything else.
    Rechecking {
        /// Restarts in a row, the coming one included.
        tries: u32,
    },
    /// The device is being logged out.
    LoggingOut {
        /// What the session ends with.
        end: End,
        /// Taken for done at this instant at the latest.
        until: BootTime,
    },
    /// We asked the connection to close.
    Closing {
        /// It is taken for closed at this instant at the latest.
        deadline: BootTime,
        /// What follows.
        then: After,
    },
    /// Over; the account is given back.
    Ended(End),
}

/// What follows when a connection that we asked to close has closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// The session ends.
    End(End),
    /// It is opened again, after a wait.
    Reopen {
        /// What for.
        purpose: Purpose,
        /// Restarts in a row, the coming one included.
        tries: u32,
    },
}

/// How far the groups of a connection are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// Read, or tried to; nothing has asked since.
    Known,
    /// Being read.
    Reading,
    /// Being read; something asked meanwhile, so they are read once more then.
    ReadAgain,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Handed back in order: another worker may take it at once.
    Released,
    /// The right to act was gone: nothing was written after that.
    Lost(Loss),
    /// There is nothing to be online for.
    Settled,
    /// The account is to be removed.
    Removed,
    /// The device is to be logged out, and the account stays.
    Unlinked,
}

/// What an account should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Live.
    Online,
    /// Not live.
    Offline,
    /// Logged out and removed.
    Erased,
    /// Unlinked on WhatsApp's side as well; the account stays.
    Unlinked,
}

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
    /// The state's own instant ([`State::wakes_at`]) has come.
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

/// Who stayed online for this long starts from zero.
pub const STEADY: Duration = Duration::from_secs(60);
/// Why a pairing is given up that began too late.
pub const WINDOW_OVER: &str = "the pairing window is over";
/// Why a pairing is given up that nobody answered.
pub const NOT_SCANNED: &str = "nobody scanned a code in time";

impl State {
    /// The state's name, for logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.word() {
            Some(word) => word.as_str(),
            None => "ended",
        }
    }

    /// The state in one word, for metrics; none once it has ended.
    #[must_use]
    pub const fn word(&self) -> Option<SessionState> {
        Some(match self {
            Self::Fresh => SessionState::Fresh,
            Self::Opening { .. } => SessionState::Opening,
            Self::Pairing { .. } => SessionState::Pairing,
            Self::Accepted { .. } => SessionState::Accepted,
            Self::Linking { .. } => SessionState::Linking,
            Self::Online { .. } => SessionState::Online,
            Self::Finishing { .. } => SessionState::Finishing,
            Self::Backoff { .. } => SessionState::Backoff,
            Self::Rechecking { .. } => SessionState::Rechecking,
            Self::LoggingOut { .. } => SessionState::LoggingOut,
            Self::Closing { .. } => SessionState::Closing,
            Self::Ended(_) => return None,
        })
    }

    /// When [`Event::Tick`] is due. A state that waits for something outside of us has such an instant, or stands for
    /// something that ends with the right to act; none waits for ever.
    #[must_use]
    pub fn wakes_at(&self) -> Option<BootTime> {
        match self {
            Self::Opening { purpose: Purpose::Pair { until: window, .. }, until, .. } => {
                Some(until.map_or(*window, |until| until.min(*window)))
            }
            Self::Opening {
                purpose: Purpose::FirstLogin | Purpose::Resume | Purpose::LogOut { .. }, until, ..
            } => *until,
            Self::Pairing { until, .. }
            | Self::Accepted { until }
            | Self::Finishing { until }
            | Self::Backoff { until, .. }
            | Self::LoggingOut { until, .. } => Some(*until),
            Self::Closing { deadline, .. } => Some(*deadline),
            Self::Online { since, tries, .. } if *tries > 0 => Some(*since + STEADY),
            Self::Online { .. } | Self::Fresh | Self::Linking { .. } | Self::Rechecking { .. } | Self::Ended(_) => None,
        }
    }

    /// Whether messages are handed over: only while it is online, since another one may have the account otherwise, or
    /// nobody would take them.
    #[must_use]
    pub const fn sends(&self) -> bool {
        matches!(self, Self::Online { .. })
    }

    /// How often the connection was restarted in a row.
    #[must_use]
    pub const fn restarts(&self) -> u32 {
        match self {
            Self::Opening { tries, .. }
            | Self::Pairing { tries, .. }
            | Self::Linking { tries }
            | Self::Online { tries, .. }
            | Self::Backoff { tries, .. }
            | Self::Rechecking { tries }
            | Self::Closing { then: After::Reopen { tries, .. }, .. } => *tries,
            Self::Fresh
            | Self::Accepted { .. }
            | Self::Finishing { .. }
            | Self::LoggingOut { .. }
            | Self::Closing { then: After::End(_), .. }
            | Self::Ended(_) => 0,
        }
    }
}
