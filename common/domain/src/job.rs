//! Pure. Every kind of bell on one page, the queues they ring in, and the five words that answer them.
//!
//! A bell carries ids only: it says "there are rows to look at", never what they hold. It may be lost, late, doubled or
//! reordered without harm, because whoever answers it reads the rows.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, RunId, WorkerId};

/// How many bells may lie in one queue; above that a row just waits until a duty rings again.
pub const QUEUE_LIMIT: usize = 1_000;

/// How often a bell may be passed on (answered `Snooze`, `Retry` or `NotMine`) before it is left to the duty.
pub const HOPS_MAX: u8 = 5;

/// There is work at an account or a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Bell {
    /// A pairing was asked for.
    Pair {
        /// Whose.
        account: AccountId,
    },
    /// The account was unpaired or is to be removed.
    Unpair {
        /// Whose.
        account: AccountId,
    },
    /// Messages are queued, or groups are to be synced.
    Send {
        /// Whose.
        account: AccountId,
    },
    /// A run is waiting to be expanded into messages.
    FireReminder {
        /// Which.
        run: RunId,
    },
}

impl Bell {
    /// The kind's name in logs, metrics and keys.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pair { .. } => "pair",
            Self::Unpair { .. } => "unpair",
            Self::Send { .. } => "send",
            Self::FireReminder { .. } => "fire_reminder",
        }
    }

    /// The account whose owner is to answer; none: any worker may.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::Pair { account } | Self::Unpair { account } | Self::Send { account } => Some(*account),
            Self::FireReminder { .. } => None,
        }
    }

    /// Where the bell rings, given who owns its account now.
    #[must_use]
    pub fn queue(&self, owner: Option<WorkerId>) -> Queue {
        match (self, owner) {
            (Self::FireReminder { .. }, _) => Queue::FireReminder,
            (Self::Pair { .. } | Self::Unpair { .. } | Self::Send { .. }, Some(owner)) => Queue::Inbox(owner),
            (Self::Pair { .. } | Self::Unpair { .. } | Self::Send { .. }, None) => Queue::Claim,
        }
    }
}

/// `send:0199…`: the kind and the id, for logs and for the key that coalesces equal bells.
impl fmt::Display for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pair { account } | Self::Unpair { account } | Self::Send { account } => {
                write!(f, "{}:{account}", self.kind())
            }
            Self::FireReminder { run } => write!(f, "{}:{run}", self.kind()),
        }
    }
}

/// What lies in a queue: the bell and what tells its story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Where to look.
    pub bell: Bell,
    /// The W3C `traceparent` of whoever rang, so that one trace spans request, ring and answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// How often it was passed on so far.
    #[serde(default)]
    pub hops: u8,
}

impl Job {
    /// A bell as it is rung first.
    #[must_use]
    pub fn new(bell: Bell, trace: Option<String>) -> Self {
        Self { bell, trace, hops: 0 }
    }
}

/// Where bells lie until they are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// For the one worker that owns the account. Dropped with the worker: its bells are disposable.
    Inbox(WorkerId),
    /// For any worker with room: the account has no owner.
    Claim,
    /// For any worker.
    FireReminder,
}

impl Queue {
    /// The queue's name without the worker in it, for logs and metrics.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Inbox(_) => "inbox",
            Self::Claim => "claim",
            Self::FireReminder => "fire-reminder",
        }
    }

    /// Whether more than one worker answers here.
    #[must_use]
    pub fn shared(self) -> bool {
        match self {
            Self::Inbox(_) => false,
            Self::Claim | Self::FireReminder => true,
        }
    }
}

/// What a handler says about a bell. Interpreted in one place, `doorbell::answer`; attempts that matter are counted in
/// rows, never here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The rows were looked at; nothing is left to do for this bell.
    Done,
    /// Nothing to do before this has passed: ring again then.
    Snooze(Duration),
    /// It did not work, for a passing reason: ring again soon, a few times; then the duty does.
    Retry(String),
    /// It will never work; the rows say so already. Logged, not rung again.
    GiveUp(String),
    /// The account is another worker's, or this one has no room: pass it on.
    NotMine,
}

impl Answer {
    /// The word, for logs and metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Snooze(_) => "snooze",
            Self::Retry(_) => "retry",
            Self::GiveUp(_) => "give_up",
            Self::NotMine => "not_mine",
        }
    }
}

/// What became of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// It lies in the queue, and whoever listens has heard it.
    Rung,
    /// An equal bell lies there unanswered; whoever listens has heard it.
    Coalesced,
    /// The queue is full. Whoever listens has heard it; otherwise the row waits until the duty rings again.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R06: a job that an older release laid down, which knows of no trace, is answered; and one that tells its story is
    /// read by it, which leaves out what it does not know.
    #[test]
    fn a_job_may_tell_its_story_or_not() {
        let account: AccountId = "0199b2f0-4f6e-7cc1-9d6a-0123456789ab".parse().unwrap();
        let bell = Bell::Send { account };
        for older in [
            r#"{"bell":{"kind":"send","account":"0199b2f0-4f6e-7cc1-9d6a-0123456789ab"}}"#,
            r#"{"bell":{"kind":"send","account":"0199b2f0-4f6e-7cc1-9d6a-0123456789ab"},"hops":0}"#,
            r#"{"bell":{"kind":"send","account":"0199b2f0-4f6e-7cc1-9d6a-0123456789ab"},"trace":null,"hops":0}"#,
        ] {
            assert_eq!(serde_json::from_str::<Job>(older).unwrap(), Job::new(bell, None), "{older}");
        }
        #[derive(Deserialize)]
        struct Older {
            bell: Bell,
            hops: u8,
        }
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
        let newer = serde_json::to_string(&Job::new(bell, Some(trace))).unwrap();
        let read: Older = serde_json::from_str(&newer).unwrap();
        assert_eq!((read.bell, read.hops), (bell, 0));
        assert!(newer.len() < 200, "{newer}");
    }
}
