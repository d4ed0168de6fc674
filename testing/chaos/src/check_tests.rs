//! Breaks each promise once. The checker must find it, and nothing else.

use super::*;
use chrono::{DateTime, TimeDelta, Utc};

use crate::evidence::{Bubble, Device, Fired, Overlap, Socket};
use crate::journal::Entry;
use crate::ledger::{Ledger, Promised, Recurring, Sent};
use kit::witness::{AccountRow, RunRow};

fn bubble(text: &str) -> Bubble {
    Bubble { text: text.to_owned(), times_arrived: 1 }
}

fn row(body: &str, state: &str) -> MessageRow {
    MessageRow { body: body.to_owned(), state: state.to_owned(), reason: None }
}

fn run(name: &str, status: &str) -> RunRow {
    RunRow { name: name.to_owned(), status: status.to_owned(), summary: None, late_s: 0.1 }
}

fn sent(text: &str, n: u64) -> Sent {
    Sent { sender: "1".to_owned(), text: text.to_owned(), n, readers: vec!["7".to_owned()] }
}

/// Evidence without any fault.
fn clean() -> Evidence {
    let account = AccountRow { status: "connected".to_owned(), jid: Some("1:1".to_owned()), credentials: 3 };
    Evidence {
        ledger: Ledger {
            sent: vec![sent("s|1|0|1", 1), sent("s|1|0|2", 2)],
            promised: vec![Promised { name: "r|1".to_owned(), readers: vec!["7".to_owned()] }],
            written: vec!["w|1".to_owned()],
            ..Ledger::default()
        },
        inboxes: HashMap::from([("7".to_owned(), vec![bubble("s|1|0|1"), bubble("r|1"), bubble("s|1|0|2")])]),
        devices: vec![device(None, None)],
        messages: vec![row("s|1|0|1", "read"), row("s|1|0|2", "sent")],
        runs: vec![run("r|1", "success")],
        received: vec!["w|1".to_owned()],
        accounts: HashMap::from([("a".to_owned(), account)]),
        steady: vec![("a".to_owned(), Some("1:1".to_owned()))],
        ..Evidence::default()
    }
}

fn device(second: Option<&str>, overlap: Option<u64>) -> Device {
    let socket =
        |id, via: &str| Socket { socket_id: id, login_ok_at_us: 10, closed_at_us: Some(20), via: Some(via.to_owned()) };
    Device {
        number: "1".to_owned(),
        device: 1,
        sockets: [Some(socket(1, "worker-1.1")), second.map(|via| socket(2, via))].into_iter().flatten().collect(),
        overlaps: overlap
            .map(|began_at_us| Overlap {
                first_socket_id: 1,
                second_socket_id: 2,
                began_at_us,
                lasted_us: 5,
                ended_by: Some("replaced".to_owned()),
            })
            .into_iter()
            .collect(),
    }
}

fn inbox(texts: &[&str]) -> HashMap<String, Vec<Bubble>> {
    HashMap::from([("7".to_owned(), texts.iter().map(|text| bubble(text)).collect())])
}

#[test]
fn a_clean_run_is_clean() {
    let verdict = check(&clean());
    assert!(verdict.is_clean(), "{verdict:?}");
}

#[test]
fn a_lost_message_is_found() {
    let mut evidence = clean();
    evidence.inboxes = inbox(&["s|1|0|1", "r|1"]);
    assert_eq!(check(&evidence).lost, 1);
}

#[test]
fn a_message_seen_twice_is_found_and_one_that_arrived_twice_is_counted_apart() {
    let mut evidence = clean();
    evidence.inboxes = inbox(&["s|1|0|1", "s|1|0|1", "r|1", "s|1|0|2"]);
    assert_eq!(check(&evidence).seen_twice, 1);
    let mut evidence = clean();
    evidence.inboxes.get_mut("7").unwrap()[0].times_arrived = 2;
    let verdict = check(&evidence);
    assert_eq!((verdict.seen_twice, verdict.repeated), (0, 1));
    assert!(verdict.is_clean());
}

#[test]
fn disorder_is_found() {
    let mut evidence = clean();
    evidence.inboxes = inbox(&["s|1|0|2", "s|1|0|1", "r|1"]);
    assert_eq!(check(&evidence).disorder, 1);
}

#[test]
fn occurrences_lost_and_doubled_are_found() {
    let mut evidence = clean();
    evidence.runs.clear();
    assert_eq!(check(&evidence).occurrences_lost, 1);
    let mut evidence = clean();
    evidence.runs = vec![run("r|1", "failed")];
    assert_eq!(check(&evidence).occurrences_lost, 1);
    let mut evidence = clean();
    evidence.runs.push(run("r|1", "success"));
    assert_eq!(check(&evidence).occurrences_doubled, 1);
    let mut evidence = clean();
    evidence.inboxes = inbox(&["s|1|0|1", "r|1", "r|1", "s|1|0|2"]);
    assert_eq!(check(&evidence).occurrences_doubled, 1);
}

/// Evidence in which a reminder fired twice, five minutes apart.
fn repeated() -> Evidence {
    let at = |n: i32| DateTime::UNIX_EPOCH + TimeDelta::minutes(5) * n;
    let mut evidence = clean();
    let (id, name) = ("x".to_owned(), "r|again|1".to_owned());
    evidence.ledger.recurring =
        vec![Recurring { id: id.clone(), name, readers: vec!["7".to_owned()], due: vec![at(0), at(1)] }];
    evidence.fired = HashMap::from([(id, vec![fired(at(1)), fired(at(0))])]);
    evidence.inboxes = inbox(&["s|1|0|1", "r|1", "r|again|1", "s|1|0|2", "r|again|1"]);
    evidence
}

fn fired(fire_at: DateTime<Utc>) -> Fired {
    Fired { fire_at, status: "success".to_owned(), summary: None }
}

/// Returns how many occurrences are lost and doubled after a change to [`repeated`].
fn occurrences(change: impl FnOnce(&mut Vec<Fired>)) -> (u64, u64) {
    let mut evidence = repeated();
    change(evidence.fired.get_mut("x").unwrap());
    let verdict = check(&evidence);
    (verdict.occurrences_lost, verdict.occurrences_doubled)
}

#[test]
fn each_occurrence_of_a_reminder_that_repeats_is_looked_for() {
    let verdict = check(&repeated());
    assert!(verdict.is_clean(), "{verdict:?}");
    // the occurrence did not fire, but its text is shown
    assert_eq!(occurrences(|fired| drop(fired.pop())), (1, 1));
    assert_eq!(occurrences(|fired| fired[0].status = "missed".to_owned()), (1, 0));
    assert_eq!(occurrences(|fired| fired[0].fire_at = fired[1].fire_at), (1, 2));
    assert_eq!(occurrences(|fired| fired.push(self::fired(DateTime::UNIX_EPOCH + TimeDelta::minutes(2)))), (0, 1));
    let mut evidence = repeated();
    evidence.inboxes = inbox(&["s|1|0|1", "r|1", "r|again|1", "s|1|0|2"]);
    assert_eq!(check(&evidence).occurrences_lost, 1);
}

#[test]
fn what_was_seen_to_go_wrong_is_counted() {
    let counts = |change: fn(&mut Evidence)| {
        let mut evidence = clean();
        change(&mut evidence);
        let verdict = check(&evidence);
        assert!(!verdict.is_clean() && !verdict.details.is_empty());
        (verdict.wrong_status, verdict.refused, verdict.broken, verdict.not_injected, verdict.died)
    };
    fn journal(what: What) -> Vec<Entry> {
        vec![Entry { from_us: 1, until_us: 1, what }]
    }
    assert_eq!(counts(|e| e.ledger.wrong.push("a".to_owned())), (1, 0, 0, 0, 0));
    assert_eq!(counts(|e| e.ledger.refused.push("a".to_owned())), (0, 1, 0, 0, 0));
    assert_eq!(counts(|e| e.ledger.broken.push("a".to_owned())), (0, 0, 1, 0, 0));
    assert_eq!(counts(|e| e.journal = journal(What::NotInjected("a".to_owned()))), (0, 0, 0, 1, 0));
    assert_eq!(counts(|e| e.journal = journal(What::Died("a".to_owned()))), (0, 0, 0, 0, 1));
}

#[test]
fn a_run_in_which_nothing_was_accepted_proves_nothing() {
    let mut evidence = clean();
    evidence.ledger.sent.clear();
    assert!(!check(&evidence).is_clean());
}

#[test]
fn lost_credentials_and_wrong_statuses_are_found() {
    let mut evidence = clean();
    evidence.accounts.get_mut("a").unwrap().jid = Some("1:2".to_owned());
    assert_eq!(check(&evidence).credentials_lost, 1);
    let mut evidence = clean();
    evidence.accounts.get_mut("a").unwrap().status = "disconnected".to_owned();
    assert_eq!(check(&evidence).wrong_status, 1);
    let mut evidence = clean();
    evidence.messages[1] = row("s|1|0|2", "queued");
    assert_eq!(check(&evidence).wrong_status, 1);
}

#[test]
fn inbound_lost_and_doubled_are_found() {
    let mut evidence = clean();
    evidence.received.clear();
    assert_eq!(check(&evidence).inbound_lost, 1);
    let mut evidence = clean();
    evidence.received.push("w|1".to_owned());
    assert_eq!(check(&evidence).inbound_doubled, 1);
}

/// Returns the numbers of double owners and of excused overlaps of a device. Its first socket was opened at 10 µs by
/// `worker-1.1`. It overlaps with a socket of `second` from 100 µs on.
fn owners_of(second: &str, change: impl FnOnce(&mut Device), journal: Vec<Entry>) -> (u64, usize) {
    let mut device = device(Some(second), Some(100));
    change(&mut device);
    let verdict = check(&Evidence { devices: vec![device], journal, ..clean() });
    (verdict.double_owner, verdict.excused.len())
}

fn from_50_to_90(what: What) -> Vec<Entry> {
    vec![Entry { from_us: 50, until_us: 90, what }]
}

const FOUND: (u64, usize) = (1, 0);
const EXCUSED: (u64, usize) = (0, 1);

/// R02: sockets of two boots on one device are a double owner, unless the first boot could not close its socket.
#[test]
fn a_double_owner_is_found_and_an_excuse_is_heard() {
    assert_eq!(owners_of("worker-2.1", |_| {}, vec![]), FOUND);
    let excuses = ["worker-1.1", "worker-1", "1"].map(str::to_owned);
    let [boot, part, number] = excuses;
    for what in [What::Frozen(boot), What::Silent(part), What::Silenced(number)] {
        assert_eq!(owners_of("worker-2.1", |_| {}, from_50_to_90(what.clone())), EXCUSED, "{what:?}");
        let late = |device: &mut Device| device.overlaps[0].began_at_us = 90 + 3_000_001;
        assert_eq!(owners_of("worker-2.1", late, from_50_to_90(what.clone())), FOUND, "long after {what:?}");
        let before = |device: &mut Device| device.overlaps[0].began_at_us = 49;
        assert_eq!(owners_of("worker-2.1", before, from_50_to_90(what.clone())), FOUND, "before {what:?}");
    }
}

#[test]
fn an_excuse_is_only_for_whom_it_is() {
    for what in [
        What::Frozen("worker-2.1".to_owned()),
        What::Frozen("worker-1.2".to_owned()),
        What::Silent("worker-2".to_owned()),
        What::Silent("worker".to_owned()),
        What::Silenced("2".to_owned()),
        What::Died("worker-1.1".to_owned()),
    ] {
        assert_eq!(owners_of("worker-2.1", |_| {}, from_50_to_90(what.clone())), FOUND, "{what:?}");
    }
}

/// A socket that was opened after the fault was over is not excused by it.
#[test]
fn a_socket_that_was_opened_later_has_no_excuse() {
    for (what, opened_us) in [
        (What::Frozen("worker-1.1".to_owned()), 91),
        (What::Silent("worker-1".to_owned()), 91),
        (What::Silenced("1".to_owned()), 50 + 1_000_001),
    ] {
        let later = |device: &mut Device| {
            device.sockets[0].login_ok_at_us = opened_us;
            device.overlaps[0].began_at_us = opened_us + 1;
        };
        assert_eq!(owners_of("worker-2.1", later, from_50_to_90(what.clone())), FOUND, "{what:?}");
    }
}

#[test]
fn one_boot_may_reconnect_and_no_more() {
    assert_eq!(owners_of("worker-1.1", |_| {}, vec![]), EXCUSED);
    let long = |device: &mut Device| device.overlaps[0].lasted_us = 5_000_001;
    assert_eq!(owners_of("worker-1.1", long, vec![]), FOUND);
    assert_eq!(owners_of("worker-1.1", long, from_50_to_90(What::Silent("worker-1".to_owned()))), EXCUSED);
    assert_eq!(owners_of("worker-1.2", |_| {}, vec![]), FOUND);
}

#[test]
fn sockets_of_nobody_are_not_of_one_owner() {
    let nobody = |device: &mut Device| device.sockets.iter_mut().for_each(|socket| socket.via = None);
    assert_eq!(owners_of("worker-1.1", nobody, vec![]), FOUND);
    let frozen = from_50_to_90(What::Frozen(String::new()));
    assert_eq!(owners_of("worker-1.1", nobody, frozen), FOUND);
}
