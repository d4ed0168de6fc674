//! Pure. All kinds of bells, the queues they ring in, and the five possible answers.
//!
//! A bell carries ids only. It says "there are rows to look at", never what they contain. It may be lost, late, doubled
//! or reordered without harm, because its handler reads the rows.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, RunId, WorkerId};

/// The highest number of bells in a queue. Beyond that, a row waits until a duty rings again.
pub const QUEUE_LIMIT: usize = 1_000;

/// How often a bell may be passed on (answered `Snooze`, `Retry` or `NotMine`) before it is dropped. A duty rings again
/// later.
pub const HOPS_MAX: u8 = 5;

/// A notice that there is work for an account or a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Bell {
    /// The account's row has changed: a pairing was requested, or its groups are to be synced.
    Pair {
        /// The account.
        account: AccountId,
    },
    /// The account was unpaired or is to be deleted.
    Unpair {
        /// The account.
        account: AccountId,
    },
    /// Messages are queued. Only the outbox is read.
    Send {
        /// The account.
        account: AccountId,
    },
    /// A run is waiting to be expanded into messages.
    FireReminder {
        /// The run.
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

    /// The account whose owner should answer; `None` if any worker may.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::Pair { account } | Self::Unpair { account } | Self::Send { account } => Some(*account),
            Self::FireReminder { .. } => None,
        }
    }

    /// The queue for the bell, given the current owner of its account.
    #[must_use]
    pub fn queue(&self, owner: Option<WorkerId>) -> Queue {
        match (self, owner) {
            (Self::FireReminder { .. }, _) => Queue::FireReminder,
            (Self::Pair { .. } | Self::Unpair { .. } | Self::Send { .. }, Some(owner)) => Queue::Inbox(owner),
            (Self::Pair { .. } | Self::Unpair { .. } | Self::Send { .. }, None) => Queue::Claim,
        }
    }
}

/// `send:0199…`: the kind and the id. Used in logs, and as the key that coalesces equal bells.
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

/// An entry of a queue: the bell and its context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The bell.
    pub bell: Bell,
    /// The W3C `traceparent` of the caller, so that one trace covers request, ring and answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// How often it was passed on so far.
    #[serde(default)]
    pub hops: u8,
}

impl Job {
    /// A job for a bell that has not been passed on.
    #[must_use]
    pub fn new(bell: Bell, trace: Option<String>) -> Self {
        Self { bell, trace, hops: 0 }
    }
}

/// Where bells wait until they are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// For the worker that owns the account. The queue is removed with the worker, since its bells may be lost.
    Inbox(WorkerId),
    /// For any worker with room: the account has no owner.
    Claim,
    /// For any worker.
    FireReminder,
}

impl Queue {
    /// The name of the queue without the worker's id, for logs and metrics.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Inbox(_) => "inbox",
            Self::Claim => "claim",
            Self::FireReminder => "fire-reminder",
        }
    }

    /// Whether more than one worker reads this queue.
    #[must_use]
    pub fn shared(self) -> bool {
        match self {
            Self::Inbox(_) => false,
            Self::Claim | Self::FireReminder => true,
        }
    }
}

/// The answer of a handler to a bell. It is interpreted only in `doorbell::answer`. Attempts that matter are counted in
/// rows, never here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The rows were read, and nothing is left to do for this bell.
    Done,
    /// Nothing to do before this time has passed. The bell rings again then.
    Snooze(Duration),
    /// It failed for a temporary reason. The bell rings again soon, a few times. After that a duty rings.
    Retry(String),
    /// It will never work, and the rows say so already. It is logged and not rung again.
    GiveUp(String),
    /// The account belongs to another worker, or this worker has no room. The bell is passed on.
    NotMine,
}

impl Answer {
    /// The name of the answer, for logs and metrics.
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

/// The result of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// The bell was added to the queue, and listeners were notified.
    Rung,
    /// An equal bell was waiting in the queue already. Listeners were notified.
    Coalesced,
    /// The queue is full. Listeners were notified; if none answers, the row waits until a duty rings again.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R06: jobs of an older release, without a trace, are read; and an older release reads jobs with a trace, since it
    /// ignores unknown fields.
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
