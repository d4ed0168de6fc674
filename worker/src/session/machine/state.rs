//! Pure. The states of a session.

use std::time::Duration;

use process::clock::BootTime;
use process::telemetry::metrics::labels::{Loss, SessionState};

/// The purpose of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Show codes until a phone accepts one. It never repeats by itself, except that WhatsApp's request for a new
    /// connection (515) is followed within the pairing window.
    Pair(Attempt),
    /// Log in for the first time after a phone accepted the device.
    FirstLogin,
    /// Be online again, with credentials that worked before.
    Resume,
    /// Log the device out on WhatsApp's side before the account is removed or unlinked.
    LogOut {
        /// [`End::Removed`] or [`End::Unlinked`].
        end: End,
    },
}

/// One attempt to pair: from the request until a phone accepts, over as many connections as it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The end of the pairing window. No other deadline ends the attempt later.
    pub until: BootTime,
    /// The number to pair by code; `None` to pair by QR code.
    pub code_for: Option<String>,
    /// WhatsApp has asked for a passkey: a phone has scanned a code, and its owner has not passed the gate yet.
    pub gated: bool,
}

/// The state of a session. A session lives as long as one claim: a newer generation has a newer epoch, and so another
/// session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Claimed; the row was not read yet.
    Fresh,
    /// A connection is being made.
    Opening {
        /// Its purpose.
        purpose: Purpose,
        /// Restarts in a row before this one.
        tries: u32,
        /// When it is given up; `None` while it waits for its turn to connect.
        until: Option<BootTime>,
    },
    /// Codes are shown.
    Pairing {
        /// The attempt to pair.
        attempt: Attempt,
        /// Codes shown so far.
        shown: i32,
        /// Restarts in a row before.
        tries: u32,
    },
    /// A phone accepted the device. The next step is WhatsApp's close (515).
    Accepted {
        /// When the connection is given up without that close.
        until: BootTime,
    },
    /// Logged in for the first time. The duplicate guard is being asked, for as long as the session may act.
    Linking {
        /// Restarts in a row before.
        tries: u32,
    },
    /// Logged in: the outbox is drained.
    Online {
        /// Since when.
        since: BootTime,
        /// Restarts in a row before. Reset after [`STEADY`] online.
        tries: u32,
        /// Whether its groups are up to date.
        groups: Groups,
    },
    /// The account is being given back: no new message is sent, and those in flight are awaited.
    Finishing {
        /// The deadline.
        until: BootTime,
    },
    /// Waiting to open again.
    Backoff {
        /// When it opens again.
        until: BootTime,
        /// The purpose of the next connection.
        purpose: Purpose,
        /// Restarts in a row, including the coming one.
        tries: u32,
    },
    /// Another connection took over. Lease and epoch are checked before anything else.
    Rechecking {
        /// Restarts in a row, including the coming one.
        tries: u32,
    },
    /// The device is being logged out.
    LoggingOut {
        /// How the session ends afterwards.
        end: End,
        /// The deadline, after which the logout counts as done.
        until: BootTime,
    },
    /// We asked the connection to close.
    Closing {
        /// The deadline, after which the connection counts as closed.
        deadline: BootTime,
        /// What follows.
        then: After,
    },
    /// Over. The account is given back.
    Ended(End),
}

/// What follows after a connection that we asked to close has closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// The session ends.
    End(End),
    /// A connection is opened again, after a wait.
    Reopen {
        /// Its purpose.
        purpose: Purpose,
        /// Restarts in a row, including the coming one.
        tries: u32,
    },
}

/// Whether the groups of a connection are up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// Read, or at least tried. Nothing has asked for another reading since.
    Known,
    /// Being read.
    Reading,
    /// Being read. Something asked for another reading meanwhile, so they are read once more.
    ReadAgain,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Given back in order: another worker may take the account at once.
    Released,
    /// The right to act was lost: nothing was written after that.
    Lost(Loss),
    /// The account need not be online any more.
    Settled,
    /// The account is to be removed.
    Removed,
    /// The device is to be logged out; the account stays.
    Unlinked,
}

/// After this long online, the count of restarts starts from zero.
pub const STEADY: Duration = Duration::from_secs(60);
impl State {
    /// The state's name, for logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.word() {
            Some(word) => word.as_str(),
            None => "ended",
        }
    }

    /// The state as a metric label; `None` once it has ended.
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

    /// When [`Event::Tick`](super::event::Event::Tick) is due. A state that waits for something external either has
    /// such an instant, or ends at the latest with the right to act. No state waits for ever.
    #[must_use]
    pub fn wakes_at(&self) -> Option<BootTime> {
        match self {
            Self::Opening { purpose: Purpose::Pair(attempt), until, .. } => {
                Some(until.map_or(attempt.until, |until| until.min(attempt.until)))
            }
            Self::Opening {
                purpose: Purpose::FirstLogin | Purpose::Resume | Purpose::LogOut { .. }, until, ..
            } => *until,
            Self::Pairing { attempt: Attempt { until, .. }, .. }
            | Self::Accepted { until }
            | Self::Finishing { until }
            | Self::Backoff { until, .. }
            | Self::LoggingOut { until, .. } => Some(*until),
            Self::Closing { deadline, .. } => Some(*deadline),
            Self::Online { since, tries, .. } if *tries > 0 => Some(*since + STEADY),
            Self::Online { .. } | Self::Fresh | Self::Linking { .. } | Self::Rechecking { .. } | Self::Ended(_) => None,
        }
    }

    /// Whether messages are handed over. This is only so while online: otherwise another session may have the account,
    /// or nothing would accept the messages.
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
