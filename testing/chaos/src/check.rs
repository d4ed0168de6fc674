//! Pure. Checks whether every promise was kept: compares what was accepted with what the phones show, what WhatsApp
//! recorded, and the rows.

use std::collections::{HashMap, HashSet};

use kit::witness::MessageRow;

use crate::evidence::{Evidence, Verdict, shown};
use crate::journal::What;
use crate::occurrences::reminders;
use crate::owners::owners;

/// Makes all checks.
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

/// Checks that every reader shows every accepted message once.
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

/// Checks that the messages of a chat arrive in the order in which they were accepted.
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

/// Checks that steady accounts are connected as the same device as before, and that fickle accounts have the status
/// that was requested last.
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

/// Checks that each message from a phone to an account is an event once.
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

/// Adds the failures that the load and the injection of faults noticed themselves.
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
