//! Pure. Whether the house kept its promises: what was accepted against what the phones show, what WhatsApp saw, and what
//! the rows say.

use std::collections::{BTreeMap, HashMap, HashSet};

use common::testing::witness::{AccountRow, MessageRow, RunRow};
use serde::Deserialize;

use crate::journal::{Entry, What};
use crate::load::Ledger;

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
    /// Texts of received messages, as often as there are events.
    pub(crate) received: Vec<String>,
    pub(crate) accounts: HashMap<String, AccountRow>,
    /// The steady accounts' ids, with the device each was linked as at the start.
    pub(crate) steady: Vec<(String, Option<String>)>,
    /// Claims that broke the rules, in words.
    pub(crate) stolen: Vec<String>,
}

/// What came of it. Every count but the last four must be 0.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
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
        [
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
        ]
        .iter()
        .all(|count| *count == 0)
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
    verdict
}

/// Two sockets of one device: by two boots without an excuse it is a double owner. One boot may reconnect before WhatsApp
/// has noticed that the socket before is dead.
fn owners(evidence: &Evidence, verdict: &mut Verdict) {
    for stolen in &evidence.stolen {
        verdict.double_owner += 1;
        verdict.details.push(format!("double owner: {stolen}"));
    }
    for device in &evidence.devices {
        let via =
            |id: u64| device.sockets.iter().find(|s| s.socket_id == id).and_then(|s| s.via.clone()).unwrap_or_default();
        for overlap in &device.overlaps {
            let (first, second) = (via(overlap.first_socket_id), via(overlap.second_socket_id));
            let words = format!(
                "{}:{} by {first} and {second} for {:.1} ms, ended by {}",
                device.number,
                device.device,
                overlap.lasted_us as f64 / 1_000.0,
                overlap.ended_by.as_deref().unwrap_or("nobody")
            );
            match excuse(evidence, &first, &second, overlap) {
                Some(why) => verdict.excused.push((overlap.lasted_us, format!("{words} ({why})"))),
                None => {
                    verdict.double_owner += 1;
                    verdict.details.push(format!("double owner: {words}"));
                }
            }
        }
    }
}

/// After a fault has ended, so long may its traces last: what was written into a line that was silent still flows.
const AFTERMATH_US: u64 = 3_000_000;

fn excuse(evidence: &Evidence, first: &str, second: &str, overlap: &Overlap) -> Option<&'static str> {
    if first == second {
        return Some("one owner reconnected");
    }
    let part = first.split('.').next().unwrap_or(first);
    evidence.journal.iter().find_map(|entry| {
        let covers =
            entry.from_us <= overlap.began_at_us && overlap.began_at_us <= entry.until_us.saturating_add(AFTERMATH_US);
        match &entry.what {
            What::Frozen(boot) if covers && boot == first => Some("the first owner was frozen"),
            What::Silent(who) if covers && who == part => Some("the first owner's line was silent"),
            What::Silenced if covers => Some("WhatsApp did not read"),
            What::Frozen(_) | What::Silent(_) | What::Silenced | What::Ended { .. } => None,
        }
    })
}

/// Every message accepted is shown by every reader, once.
fn sends(evidence: &Evidence, verdict: &mut Verdict) {
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
fn shown(evidence: &Evidence) -> BTreeMap<(&str, &str), (u64, u64)> {
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

/// Every reminder that was promised fired once, and its text is shown by every reader as often as that reader is a target.
fn reminders(evidence: &Evidence, verdict: &mut Verdict) {
    let mut runs: HashMap<&str, Vec<&RunRow>> = HashMap::new();
    for run in &evidence.runs {
        runs.entry(run.name.as_str()).or_default().push(run);
    }
    let shown = shown(evidence);
    for promised in &evidence.ledger.promised {
        let fired = runs.get(promised.name.as_str()).map_or(&[][..], Vec::as_slice);
        match fired {
            [run] if run.status == "success" => {}
            [] => {
                verdict.occurrences_lost += 1;
                verdict.details.push(format!("occurrence lost: {} never fired", promised.name));
                continue;
            }
            [run] => {
                verdict.occurrences_lost += 1;
                verdict
                    .details
                    .push(format!("occurrence lost: the run of {} is {} {:?}", promised.name, run.status, run.summary));
            }
            more => {
                verdict.occurrences_doubled += 1;
                verdict.details.push(format!("occurrence doubled: {} fired {} times", promised.name, more.len()));
            }
        }
        let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
        for reader in &promised.readers {
            *wanted.entry(reader.as_str()).or_default() += 1;
        }
        for (reader, times) in wanted {
            let seen = shown.get(&(reader, promised.name.as_str())).map_or(0, |seen| seen.0);
            if seen < times {
                verdict.occurrences_lost += 1;
                verdict
                    .details
                    .push(format!("occurrence lost: {reader} shows {} {seen} times of {times}", promised.name));
            } else if seen > times {
                verdict.occurrences_doubled += 1;
                verdict
                    .details
                    .push(format!("occurrence doubled: {reader} shows {} {seen} times, not {times}", promised.name));
            }
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

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
