//! Pure. Where a session can be.

use std::time::Duration;

use process::clock::BootTime;
use process::telemetry::metrics::labels::{Loss, SessionState};

/// What a connection is opened for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To show codes until a phone accepts one. It never loops by itself; where WhatsApp asks for a new connection (515)
    /// it gets one, within the window.
    Pair(Attempt),
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

/// One attempt to pair: from the request until a phone accepts, over as many connections as that takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// End of the pairing window, the single authority.
    pub until: BootTime,
    /// The number to pair by code; none: by QR.
    pub code_for: Option<String>,
    /// WhatsApp has asked for a passkey: a phone has scanned, and its owner has not passed the gate yet.
    pub gated: bool,
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
        /// What is to come of it.
        attempt: Attempt,
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

/// Who stayed online for this long starts from zero.
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

    /// When [`Event::Tick`](super::event::Event::Tick) is due. A state that waits for something outside of us has such an
    /// instant, or stands for something that ends with the right to act; none waits for ever.
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
