//! How a connection begins: who waits for a turn, and what happens to a connection that opens too late.

use super::*;

/// R61: the cluster connects no faster than its limit. A session that returns waits for its turn. A pairing, a first
/// login and a logout never wait, because a person waits for them.
#[test]
fn only_a_return_queues() {
    let mut opened = 0;
    for state in every_state() {
        let due = state.wakes_at();
        let happens = every_event().into_iter().map(|event| (event, NOW)).chain(due.map(|due| (Event::Tick, due)));
        for (event, at) in happens {
            let words = format!("{state:?} + {event:?}");
            let (next, actions) = decide(state.clone(), event, at);
            let open = actions.iter().find(|action| matches!(action, Action::Open { .. }));
            let State::Opening { purpose, .. } = &next else {
                assert_eq!(open, None, "{words}");
                continue;
            };
            if let Some(open) = open {
                assert_eq!(*open, if *purpose == Purpose::Resume { QUEUE } else { OPEN }, "{words}");
                opened += 1;
            }
        }
    }
    assert!(opened > 20, "{opened}");
}

/// R17: a connection that opens after the order to close is closed. If the right to act is lost, it is dropped and
/// stores nothing (R02).
#[test]
fn what_opens_late_is_closed() {
    for end in [End::Released, End::Settled, End::Removed, End::Unlinked] {
        let (state, actions) = decide(closing(end), Event::Opened, later(1));
        assert_eq!((state, actions), (closing(end), vec![Action::Close]));
    }
    let reopens =
        State::Closing { deadline: later(10), then: After::Reopen { purpose: Purpose::FirstLogin, tries: 0 } };
    assert_eq!(decide(reopens.clone(), Event::Opened, later(1)), (reopens, vec![Action::Close]));
    let lost = closing(End::Lost(Loss::Fenced));
    assert_eq!(decide(lost.clone(), Event::Opened, later(1)), (lost, vec![Action::Abort]));
}

/// R62: the deadline of an opening counts from its turn, not from its place in the queue.
#[test]
fn an_opening_is_timed_from_its_turn() {
    let (state, _) = decide(opening(Purpose::Resume), Event::Tick, later(1_000));
    assert_eq!(state, opening(Purpose::Resume));
    let (state, _) = decide(state, Event::Opened, later(1_000));
    assert_eq!(state.wakes_at(), Some(later(1_030)));
}
