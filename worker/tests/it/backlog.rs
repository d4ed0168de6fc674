//! What a sender hands over next, as pure decisions.

use std::time::Duration;

use domain::id::{MessageId, RunId};
use process::clock::BootTime;
use store::outbox::Waiting;
use worker::session::backlog::{Backlog, FRESH, Found, MARKED, Next, Outlook};

const ROOM: usize = 64;

fn at(ms: u64) -> BootTime {
    BootTime::at(Duration::from_millis(ms))
}

fn row(seq: i64, chat: &str) -> Waiting {
    Waiting {
        id: MessageId::new(),
        seq,
        chat: chat.to_owned(),
        body: "hello".to_owned(),
        whatsapp_id: format!("ID-{seq}"),
        attempts: 0,
        run: None,
        age_s: 0.0,
        expires_in_s: None,
        trace: None,
    }
}

fn of_run(seq: i64, chat: &str) -> Waiting {
    Waiting { run: Some(RunId::new()), ..row(seq, chat) }
}

fn outlook(busy: &[&str]) -> Outlook {
    Outlook { busy: busy.iter().map(|chat| (*chat).to_owned()).collect(), room: ROOM, ..Outlook::default() }
}

fn next(backlog: &mut Backlog<Waiting>, busy: &[&str], ms: u64) -> Next<Waiting> {
    backlog.next(&outlook(busy), at(ms))
}

/// A backlog that has read these rows at 0 ms.
fn read(rows: Vec<Waiting>, is_full: bool) -> Backlog<Waiting> {
    let mut backlog = Backlog::default();
    assert!(matches!(next(&mut backlog, &[], 0), Next::Look(_)), "a new session looks at once");
    backlog.looked(found(rows, is_full), at(0));
    backlog
}

/// A look that found these rows. If there are more, they may be of other chats.
fn found(rows: Vec<Waiting>, is_full: bool) -> Found<Waiting> {
    Found { rows, others: vec![], is_full, is_hidden: is_full }
}

fn sent(next: Next<Waiting>) -> Vec<i64> {
    match next {
        Next::Send(rows) => rows.iter().map(|row| row.seq).collect(),
        other => panic!("{other:?}"),
    }
}

/// R36: of each chat only the oldest goes, and the next one when the chat is free. Nothing is read again meanwhile.
#[test]
fn a_chat_has_one_message_at_a_time() {
    let mut backlog = read(vec![row(1, "a"), row(2, "a"), row(3, "b"), row(4, "a")], false);
    assert_eq!(sent(next(&mut backlog, &[], 1)), [1, 3]);
    assert!(matches!(next(&mut backlog, &["a", "b"], 2), Next::Wait));
    assert_eq!(sent(next(&mut backlog, &["b"], 3)), [2]);
    assert_eq!(sent(next(&mut backlog, &["b"], 4)), [4]);
    assert!(matches!(next(&mut backlog, &[], 5), Next::Wait), "all was read, and no bell rang");
    backlog.ring();
    assert!(matches!(next(&mut backlog, &[], 6), Next::Look(_)));
}

/// R84: what was read a while ago is read again before it goes, since an edit may have called it back. That is not worth
/// a look while none of it could go.
#[test]
fn old_rows_are_read_again() {
    let late = u64::try_from(FRESH.as_millis()).unwrap();
    let mut backlog = read(vec![row(1, "a"), row(2, "a")], false);
    assert_eq!(sent(next(&mut backlog, &[], late - 1)), [1]);
    assert!(matches!(next(&mut backlog, &["a"], late), Next::Wait));
    assert!(matches!(next(&mut backlog, &[], late), Next::Look(_)));
    assert!(matches!(next(&mut backlog, &[], late), Next::Wait), "one look at a time");
    backlog.looked(found(vec![row(2, "a")], false), at(late));
    assert_eq!(sent(next(&mut backlog, &[], late + 1)), [2]);
}

/// R36: a message that was put off goes before the later ones of its chat: all is read again.
#[test]
fn what_was_put_off_is_not_overtaken() {
    let mut backlog = read(vec![row(1, "a"), row(2, "a"), row(3, "b")], false);
    assert_eq!(sent(next(&mut backlog, &["b"], 1)), [1]);
    let now = Outlook { put_off: 1, ..outlook(&[]) };
    assert!(matches!(backlog.next(&now, at(2)), Next::Look(_)));
    // one more is put off while the look is under way: it may have missed it
    backlog.looked(found(vec![row(1, "a"), row(2, "a"), row(3, "b")], false), at(0));
    let now = Outlook { put_off: 2, ..outlook(&[]) };
    assert!(matches!(backlog.next(&now, at(3)), Next::Look(_)));
}

/// R02: a row that was in flight when a look began, or was handed over while it was under way, is not sent again, also
/// if it was written meanwhile.
#[test]
fn a_look_does_not_bring_back_what_has_left() {
    let (flying, during, fresh) = (row(1, "a"), row(2, "b"), row(3, "c"));
    let mut backlog = read(vec![during.clone()], true);
    let mut now = outlook(&["a", "b"]);
    now.flying.insert(flying.id);
    backlog.freed();
    assert!(matches!(backlog.next(&now, at(1)), Next::Look(_)));
    assert_eq!(sent(next(&mut backlog, &["a"], 2)), [2], "what was read before goes on meanwhile");
    backlog.looked(found(vec![flying, during, fresh], false), at(0));
    assert_eq!(sent(next(&mut backlog, &[], 3)), [3]);
}

/// A bell that rings while a look is under way is not lost: the look may have begun before the new row was written.
#[test]
fn a_bell_during_a_look_is_heard() {
    let mut backlog = read(vec![], false);
    backlog.ring();
    assert!(matches!(next(&mut backlog, &[], 1), Next::Look(_)));
    backlog.ring();
    assert!(matches!(next(&mut backlog, &[], 2), Next::Wait));
    backlog.looked(found(vec![], false), at(0));
    assert!(matches!(next(&mut backlog, &[], 3), Next::Look(_)));
    backlog.failed();
    assert!(matches!(next(&mut backlog, &[], 4), Next::Look(_)), "a look that failed is done again");
}

/// More is read only after something has moved, so that a long queue to busy chats costs nothing.
#[test]
fn a_long_queue_is_not_read_for_nothing() {
    let mut backlog = read(vec![row(1, "a"), row(2, "a")], true);
    assert_eq!(sent(next(&mut backlog, &[], 1)), [1]);
    assert!(matches!(next(&mut backlog, &["a"], 2), Next::Look(_)), "other chats may be behind it");
    backlog.looked(found(vec![row(2, "a")], true), at(0));
    assert!(matches!(next(&mut backlog, &["a"], 3), Next::Wait));
    backlog.freed();
    assert!(matches!(next(&mut backlog, &["a"], 4), Next::Look(_)));
}

/// Looks become longer where all was used up, and shorter where much became old; both within bounds.
#[test]
fn the_length_of_a_look_follows_its_use() {
    let mut backlog = Backlog::default();
    let mut lengths = Vec::new();
    for turn in 0..4_u64 {
        let Next::Look(length) = next(&mut backlog, &[], turn) else { panic!("a look") };
        lengths.push(length);
        backlog.looked(found(vec![row(1, &format!("{turn}"))], true), at(0));
        sent(next(&mut backlog, &[], turn));
    }
    assert_eq!(lengths, [64, 128, 256, 256]);
    for turn in 1..8_u64 {
        backlog.ring();
        let Next::Look(length) = next(&mut backlog, &["x"], turn * 1_000) else { panic!("a look") };
        lengths.push(length);
        backlog.looked(found((0..8).map(|n| row(n, "x")).collect(), false), at(0));
    }
    assert_eq!(*lengths.last().unwrap(), 16, "{lengths:?}");
}

/// R84: few texts of runs go at once, since an edit treats those that are marked as sent; and only if no others are
/// under way.
#[test]
fn texts_of_runs_go_in_small_batches() {
    let mut rows: Vec<Waiting> = (0..12).map(|n| of_run(n, &format!("run {n}"))).collect();
    rows.push(row(12, "other"));
    let mut backlog = read(rows, false);
    let first = sent(next(&mut backlog, &[], 1));
    assert_eq!(first, [0, 1, 2, 3, 4, 5, 6, 7, 12]);
    assert_eq!(first.len(), MARKED + 1);
    let now = Outlook { of_runs: true, ..outlook(&[]) };
    assert!(matches!(backlog.next(&now, at(2)), Next::Wait));
    assert_eq!(sent(next(&mut backlog, &[], 3)), [8, 9, 10, 11]);
}

/// R46: what has expired since it was read does not go, and no more goes than there is room.
#[test]
fn the_expired_and_the_many_wait() {
    let expiring = Waiting { expires_in_s: Some(0.05), ..row(1, "a") };
    let mut backlog = read(vec![expiring, row(2, "a"), row(3, "b")], false);
    assert_eq!(sent(backlog.next(&Outlook { room: 1, ..outlook(&[]) }, at(50))), [2]);
    assert!(matches!(backlog.next(&Outlook { room: 0, ..outlook(&["a"]) }, at(51)), Next::Wait));
    assert_eq!(sent(next(&mut backlog, &["a"], 52)), [3]);
}

/// A long queue to one chat is read once, and not again for each message. A chat of which only the oldest message was read
/// is read again when it is free.
#[test]
fn a_chat_behind_a_long_queue_is_read_when_it_is_free() {
    let mut backlog = read(vec![], false);
    backlog.ring();
    assert!(matches!(next(&mut backlog, &[], 1), Next::Look(_)));
    let rows = (1..=4).map(|seq| row(seq, "long")).collect();
    backlog.looked(Found { rows, others: vec![row(9, "b")], is_full: true, is_hidden: false }, at(1));
    assert_eq!(sent(next(&mut backlog, &[], 2)), [1, 9]);
    assert!(matches!(next(&mut backlog, &["long", "b"], 3), Next::Wait));
    backlog.freed();
    assert_eq!(sent(next(&mut backlog, &["b"], 4)), [2]);
    assert!(matches!(next(&mut backlog, &["long", "b"], 5), Next::Wait), "there is nothing else");
    backlog.freed();
    assert!(matches!(next(&mut backlog, &["long"], 6), Next::Look(_)), "`b` may have more");
}

/// A look that takes long brings something, too: what it found is fresh from its end. What it says of times counts from
/// its beginning.
#[test]
fn a_slow_look_is_of_use() {
    let mut backlog = Backlog::default();
    assert!(matches!(next(&mut backlog, &[], 0), Next::Look(_)));
    let expired = Waiting { expires_in_s: Some(0.9), ..row(1, "a") };
    backlog.looked(found(vec![expired, row(2, "b")], false), at(1_000));
    assert_eq!(sent(next(&mut backlog, &[], 1_001)), [2]);
}

/// R36: a text that was not handed over after all is left out by the look under way. So that look is of no use: what
/// follows the text in its chat would overtake it.
#[test]
fn a_look_is_void_after_a_row_came_back() {
    let mut backlog = read(vec![of_run(1, "a")], false);
    assert_eq!(sent(next(&mut backlog, &[], 1)), [1]);
    backlog.ring();
    let now = Outlook { of_runs: true, ..outlook(&["a"]) };
    assert!(matches!(backlog.next(&now, at(2)), Next::Look(_)));
    backlog.discard();
    backlog.looked(found(vec![of_run(2, "a")], false), at(3));
    assert!(matches!(next(&mut backlog, &[], 4), Next::Look(_)));
}
