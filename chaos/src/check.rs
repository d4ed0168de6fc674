//! Pure. Whether the house kept its promises: what was accepted against what the phones show, what WhatsApp saw, and what
//! the rows say.

use std::collections::{BTreeMap, HashMap, HashSet};

use common::testing::witness::{AccountRow, MessageRow, RunRow};
use serde::Deserialize;

use crate::journal::{Entry, What};
use crate::ledger::Ledger;
use crate::occurrences::{Fired, reminders};
use crate::owners::owners;

/// A message as a phone shows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Bubble {
    pub(crate) text: String,
    pub(crate) times_arrived: u64,
}

/// A socket that was logged in, by WhatsApp's audit.
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

/// A device, by WhatsApp's audit.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Device {
    pub(crate) number: String,
    pub(crate) device: u16,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) overlaps: Vec<Overlap>,
}

/// Everything that was seen.
#[derive(Default)]
pub(crate) struct Evidence {
    pub(crate) ledger: Ledger,
    /// What each phone shows, in order of first arrival.
    pub(crate) inboxes: HashMap<String, Vec<Bubble>>,
    pub(crate) devices: Vec<Device>,
    pub(crate) journal: Vec<Entry>,
    pub(crate) messages: Vec<MessageRow>,
    pub(crate) runs: Vec<RunRow>,
    /// What the reminders that repeat came to, by id.
    pub(crate) fired: HashMap<String, Vec<Fired>>,
    /// Texts of received messages, as often as there are events.
    pub(crate) received: Vec<String>,
    pub(crate) accounts: HashMap<String, AccountRow>,
    /// The steady accounts' ids, with the device each was linked as at the start.
    pub(crate) steady: Vec<(String, Option<String>)>,
    /// Claims that broke the rules, in words.
    pub(crate) stolen: Vec<String>,
}

/// What came of it. Every count between the first and the last two must be 0.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Messages that were accepted: a run without is no proof of anything.
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
    /// Requests that were right, and refused.
    pub(crate) refused: u64,
    /// Parts of the load that broke.
    pub(crate) broken: u64,
    /// Faults of the plan that could not be carried out.
    pub(crate) not_injected: u64,
    /// Processes that ended by themselves.
    pub(crate) died: u64,
    /// Overlaps with an excuse: WhatsApp could not know that the first socket was given up.
    pub(crate) excused: Vec<(u64, String)>,
    /// Messages that arrived more than once under one id: shown once.
    pub(crate) repeated: u64,
    /// What each count stands for.
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

/// The verdict.
pub(crate) fn check(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    owners(evidence, &mut verdict);
    sends(evidence, &mut verdict);
    order(evidence, &mut verdict);
    reminders(evidence, &mut verdict);
    accounts(evidence, &mut verdict);
    inbound(evidence, &mut verdict);
    troubles(evidence, &mut verdict);
    verdict
}

/// Every message accepted is shown by every reader, once.
fn sends(evidence: &Evidence, verdict: &mut Verdict) {
    verdict.sends = u64::try_from(evidence.ledger.sent.len()).unwrap_or(u64::MAX);
    if verdict.sends == 0 {
        verdict.details.push("no message was accepted at all".to_owned());
    }
    let states: HashMap<&str, &MessageRow> = evidence.messages.iter().map(|row| (row.body.as_str(), row)).collect();
    let shown = shown(evidence);
    for sent in &evidence.ledger.sent {
        let row = states.get(sent.text.as_str());
        let missing: Vec<&str> = sent
            .readers
            .iter()
            .map(String::as_str)
            .filter(|reader| !shown.contains_key(&(*reader, sent.text.as_str())))
            .collect();
        if !missing.is_empty() || row.is_none() {
            verdict.lost += 1;
            let row = row.map_or_else(|| "no row".to_owned(), |row| format!("{} {:?}", row.state, row.reason));
            verdict.details.push(format!("lost: {} ({row}) is not shown by {missing:?}", sent.text));
        } else if let Some(row) = row.filter(|row| !matches!(row.state.as_str(), "sent" | "delivered" | "read")) {
            verdict.wrong_status += 1;
            verdict
                .details
                .push(format!("wrong status: {} is shown, and its row says {} {:?}", sent.text, row.state, row.reason));
        }
    }
    for ((reader, text), (bubbles, arrivals)) in shown {
        verdict.repeated += u64::from(bubbles == 1 && arrivals > 1);
        if bubbles > 1 && !text.starts_with("r|") && !text.starts_with("w|") {
            verdict.seen_twice += 1;
            verdict.details.push(format!("seen twice: {text} is shown {bubbles} times by {reader}"));
        }
    }
}

/// By reader and text: how many bubbles, how many arrivals.
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

/// Within a chat, messages arrive in the order in which they were accepted.
fn order(evidence: &Evidence, verdict: &mut Verdict) {
    let accepted: HashMap<&str, u64> = evidence.ledger.sent.iter().map(|sent| (sent.text.as_str(), sent.n)).collect();
    for (reader, inbox) in &evidence.inboxes {
        let mut last: HashMap<&str, u64> = HashMap::new();
        for bubble in inbox {
            let Some(n) = accepted.get(bubble.text.as_str()) else { continue };
            let chat = bubble.text.rsplit_once('|').map_or("", |(chat, _)| chat);
            let before = last.entry(chat).or_default();
            if *n < *before {
                verdict.disorder += 1;
                verdict.details.push(format!("disorder: {reader} shows {} after number {before}", bubble.text));
            }
            *before = (*before).max(*n);
        }
    }
}

/// Steady accounts are connected as the device that they were; fickle ones are what was asked last.
fn accounts(evidence: &Evidence, verdict: &mut Verdict) {
    for (id, device) in &evidence.steady {
        let Some(row) = evidence.accounts.get(id) else {
            verdict.credentials_lost += 1;
            verdict.details.push(format!("credentials lost: the account {id} is gone"));
            continue;
        };
        if row.credentials == 0 || row.jid != *device {
            verdict.credentials_lost += 1;
            verdict.details.push(format!("credentials lost: {id} is {} with {} records", row.status, row.credentials));
        } else if row.status != "connected" {
            verdict.wrong_status += 1;
            verdict.details.push(format!("wrong status: {id} is {}", row.status));
        }
    }
    for (id, wanted) in &evidence.ledger.fickle {
        let status = evidence.accounts.get(id).map_or("gone", |row| row.status.as_str());
        if status != *wanted {
            verdict.wrong_status += 1;
            verdict.details.push(format!("wrong status: {id} is {status}, and was to be {wanted}"));
        }
    }
}

/// What phones wrote to an account is an event, once.
fn inbound(evidence: &Evidence, verdict: &mut Verdict) {
    let mut events: HashMap<&str, u64> = HashMap::new();
    for text in &evidence.received {
        *events.entry(text.as_str()).or_default() += 1;
    }
    let written: HashSet<&str> = evidence.ledger.written.iter().map(String::as_str).collect();
    for text in written {
        match events.get(text).copied().unwrap_or(0) {
            0 => {
                verdict.inbound_lost += 1;
                verdict.details.push(format!("inbound lost: no event of {text}"));
            }
            1 => {}
            times => {
                verdict.inbound_doubled += 1;
                verdict.details.push(format!("inbound doubled: {times} events of {text}"));
            }
        }
    }
}

/// What the load and the injection of faults saw go wrong themselves.
fn troubles(evidence: &Evidence, verdict: &mut Verdict) {
    let ledger = &evidence.ledger;
    let mut count = |what: &str, all: Vec<&String>| {
        verdict.details.extend(all.iter().map(|words| format!("{what}: {words}")));
        u64::try_from(all.len()).unwrap_or(u64::MAX)
    };
    let wrong_status = count("wrong status", ledger.wrong.iter().collect());
    let refused = count("refused", ledger.refused.iter().collect());
    let broken = count("broken", ledger.broken.iter().collect());
    let journal = |is: fn(&What) -> Option<&String>| evidence.journal.iter().filter_map(move |e| is(&e.what)).collect();
    let not_injected = journal(|what| if let What::NotInjected(words) = what { Some(words) } else { None });
    let died = journal(|what| if let What::Died(words) = what { Some(words) } else { None });
    let (not_injected, died) = (count("not injected", not_injected), count("died", died));
    verdict.wrong_status += wrong_status;
    (verdict.refused, verdict.broken) = (refused, broken);
    (verdict.not_injected, verdict.died) = (not_injected, died);
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
