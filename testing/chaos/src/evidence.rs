//! What was observed in a campaign, and the verdict.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use kit::witness::{AccountRow, MessageRow, RunRow};
use serde::Deserialize;

use crate::journal::Entry;
use crate::ledger::Ledger;

/// A message as a phone shows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Bubble {
    pub(crate) text: String,
    pub(crate) times_arrived: u64,
}

/// A socket that was logged in, from WhatsApp's audit.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Socket {
    pub(crate) socket_id: u64,
    pub(crate) login_ok_at_us: u64,
    pub(crate) closed_at_us: Option<u64>,
    /// The boot that opened it.
    pub(crate) via: Option<String>,
}

/// Two sockets of one device that were logged in at the same time.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Overlap {
    pub(crate) first_socket_id: u64,
    pub(crate) second_socket_id: u64,
    pub(crate) began_at_us: u64,
    pub(crate) lasted_us: u64,
    pub(crate) ended_by: Option<String>,
}

/// A device, from WhatsApp's audit.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Device {
    pub(crate) number: String,
    pub(crate) device: u16,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) overlaps: Vec<Overlap>,
}

/// An occurrence that fired, as the tenant sees it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Fired {
    pub(crate) fire_at: DateTime<Utc>,
    pub(crate) status: String,
    pub(crate) summary: Option<String>,
}

/// Everything that was observed.
#[derive(Default)]
pub(crate) struct Evidence {
    pub(crate) ledger: Ledger,
    /// What each phone shows, in order of first arrival.
    pub(crate) inboxes: HashMap<String, Vec<Bubble>>,
    pub(crate) devices: Vec<Device>,
    pub(crate) journal: Vec<Entry>,
    pub(crate) messages: Vec<MessageRow>,
    pub(crate) runs: Vec<RunRow>,
    /// The occurrences of recurring reminders that fired, by the reminder's id.
    pub(crate) fired: HashMap<String, Vec<Fired>>,
    /// The texts of received messages, once for each event.
    pub(crate) received: Vec<String>,
    pub(crate) accounts: HashMap<String, AccountRow>,
    /// The ids of the steady accounts, each with the device that it was linked as at the start.
    pub(crate) steady: Vec<(String, Option<String>)>,
    /// Descriptions of claims that broke the rules.
    pub(crate) stolen: Vec<String>,
}

/// The verdict. Except for `sends`, `excused` and `repeated`, every count must be 0.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The number of accepted messages. A run without any proves nothing.
    pub(crate) sends: u64,
    pub(crate) double_owner: u64,
    pub(crate) lost: u64,
    pub(crate) seen_twice: u64,
    pub(crate) disorder: u64,
    pub(crate) occurrences_lost: u64,
    pub(crate) occurrences_doubled: u64,
    pub(crate) credentials_lost: u64,
    pub(crate) wrong_status: u64,
    pub(crate) inbound_lost: u64,
    pub(crate) inbound_doubled: u64,
    /// Valid requests that were refused.
    pub(crate) refused: u64,
    /// Parts of the load that failed.
    pub(crate) broken: u64,
    /// Faults of the plan that could not be injected.
    pub(crate) not_injected: u64,
    /// Processes that ended by themselves.
    pub(crate) died: u64,
    /// Overlaps with an excuse: WhatsApp could not know that the first socket was given up.
    pub(crate) excused: Vec<(u64, String)>,
    /// Messages that arrived more than once with the same id, but are shown once.
    pub(crate) repeated: u64,
    /// A description of each finding.
    pub(crate) details: Vec<String>,
}

impl Verdict {
    /// Whether every promise was kept.
    pub(crate) fn is_clean(&self) -> bool {
        let wrong = [
            self.double_owner,
            self.lost,
            self.seen_twice,
            self.disorder,
            self.occurrences_lost,
            self.occurrences_doubled,
            self.credentials_lost,
            self.wrong_status,
            self.inbound_lost,
            self.inbound_doubled,
            self.refused,
            self.broken,
            self.not_injected,
            self.died,
        ];
        self.sends > 0 && wrong.iter().all(|count| *count == 0)
    }
}

/// Returns how many bubbles and arrivals there are, by reader and text.
pub(crate) fn shown(evidence: &Evidence) -> BTreeMap<(&str, &str), (u64, u64)> {
    let mut shown = BTreeMap::new();
    for (reader, inbox) in &evidence.inboxes {
        for bubble in inbox {
            let seen: &mut (u64, u64) = shown.entry((reader.as_str(), bubble.text.as_str())).or_default();
            seen.0 += 1;
            seen.1 += bubble.times_arrived;
        }
    }
    shown
}
