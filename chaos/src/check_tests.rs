//! Each promise broken once: the checker finds it, and nothing else.

use super::*;
use crate::load::{Promised, Sent};

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

/// A run in which everything went well.
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

/// R02: two boots at one device are a double owner, unless the first could not let go.
#[test]
fn a_double_owner_is_found_and_an_excuse_is_heard() {
    let mut evidence = clean();
    evidence.devices = vec![device(Some("worker-2.1"), Some(100))];
    assert_eq!(check(&evidence).double_owner, 1);
    for what in [What::Frozen("worker-1.1".to_owned()), What::Silent("worker-1".to_owned()), What::Silenced] {
        evidence.journal = vec![Entry { from_us: 50, until_us: 90, what }];
        let verdict = check(&evidence);
        assert_eq!((verdict.double_owner, verdict.excused.len()), (0, 1));
    }
    evidence.journal = vec![Entry { from_us: 50, until_us: 90, what: What::Frozen("worker-2.1".to_owned()) }];
    assert_eq!(check(&evidence).double_owner, 1);
    evidence.journal.clear();
    evidence.devices = vec![device(Some("worker-1.1"), Some(100))];
    assert_eq!(check(&evidence).double_owner, 0);
}
