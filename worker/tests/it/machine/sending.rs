//! What a session does while its connection serves.

use super::*;

/// R36: messages are handed over only while a session is online. Every way into that state starts sending as its last
/// action. Every way out stops sending before anything else.
#[test]
fn sending_goes_with_being_online() {
    let (mut started, mut stopped) = (0, 0);
    for state in every_state() {
        let due = state.wakes_at();
        let happens = every_event().into_iter().map(|event| (event, NOW)).chain(due.map(|due| (Event::Tick, due)));
        for (event, at) in happens {
            let words = format!("{state:?} + {event:?}");
            let (next, actions) = decide(state.clone(), event, at);
            let is_online = |state: &State| matches!(state, State::Online { .. });
            let starts = !is_online(&state) && is_online(&next);
            let stops = is_online(&state) && !is_online(&next);
            let count = |wanted: &Action| actions.iter().filter(|action| *action == wanted).count();
            assert_eq!(count(&Action::StartSending), usize::from(starts), "{words}");
            assert_eq!(count(&Action::StopSending), usize::from(stops), "{words}");
            assert!(!starts || actions.last() == Some(&Action::StartSending), "{words}");
            assert!(!stops || actions.first() == Some(&Action::StopSending), "{words}");
            started += usize::from(starts);
            stopped += usize::from(stops);
        }
    }
    assert!(started >= 2 && stopped > 10, "{started} starts, {stopped} stops");
}

/// R90: a login first writes that the account is connected. Then its messages are sent.
#[test]
fn a_login_is_told_before_anything_is_sent() {
    let (_, actions) = decide(opening(Purpose::Resume), Event::Connected(who()), NOW);
    let connected = Action::Status { status: Status::Connected, reason: None, banned_for: None };
    assert_eq!(actions, [connected, Action::SyncGroups, Action::StartSending]);
    let (_, actions) = decide(State::Linking { tries: 0 }, Event::Linked(None), NOW);
    assert_eq!(actions, [Action::SyncGroups, Action::StartSending]);
}

/// R35: the groups are read at each login, when WhatsApp reports a change, and on request. There is one reading at a
/// time, and one more for all requests that came meanwhile.
#[test]
fn groups_are_read_one_time_after_another() {
    let asked = Event::Row(Facts { groups_wanted: true, ..facts(Status::Connected, true) });
    let reads = |actions: &[Action]| actions.iter().filter(|action| **action == Action::SyncGroups).count();
    let (mut state, actions) = decide(opening(Purpose::Resume), Event::Connected(who()), NOW);
    assert_eq!(reads(&actions), 1);
    for event in [Event::GroupsChanged, asked.clone(), Event::GroupsChanged] {
        let (next, actions) = decide(state, event, NOW);
        assert_eq!(reads(&actions), 0, "while they are being read");
        state = next;
    }
    let (state, actions) = decide(state, Event::GroupsRead, NOW);
    assert_eq!(actions, [Action::SyncGroups]);
    let (state, actions) = decide(state, Event::GroupsRead, NOW);
    assert_eq!((&state, actions), (&online(), vec![]));
    for event in [Event::GroupsChanged, asked] {
        let (_, actions) = decide(state.clone(), event, NOW);
        assert_eq!(reads(&actions), 1);
    }
}

/// R35: a change of the groups does nothing in a session that is not online, because the next connection reads them
/// anyway.
#[test]
fn groups_are_read_by_the_connection_that_serves() {
    for state in every_state().into_iter().filter(|state| !state.sends()) {
        for event in [Event::GroupsChanged, Event::GroupsRead] {
            assert_eq!(decide(state.clone(), event, NOW), (state.clone(), vec![]));
        }
    }
    let reading = State::Online { since: NOW, tries: 0, groups: Groups::ReadAgain };
    let (state, _) = decide(reading, Event::Closed(dropped()), NOW);
    let (state, _) = decide(state, Event::Tick, later(1));
    let (state, actions) = decide(state, Event::Connected(who()), later(1));
    assert_eq!(state, State::Online { since: later(1), tries: 1, groups: Groups::Reading });
    assert!(actions.contains(&Action::SyncGroups));
}

/// R62: a message that waits longer than 15 s for its acknowledgement ends the connection, but not earlier.
#[test]
fn an_overdue_message_ends_the_connection() {
    assert_eq!(decide(online(), Event::Waits(unanswered(15, 0)), NOW), (online(), vec![]));
    let (state, actions) = decide(online(), Event::Waits(unanswered(16, 16)), NOW);
    assert_eq!(
        state,
        State::Closing { deadline: later(10), then: After::Reopen { purpose: Purpose::Resume, tries: 1 } }
    );
    assert_eq!(
        actions[..3],
        [Action::StopSending, Action::Close, Action::Restart { cause: RestartCause::Stale }],
        "and no message is to blame"
    );
    for state in every_state().into_iter().filter(|state| !state.sends()) {
        assert_eq!(decide(state.clone(), Event::Waits(unanswered(16, 0)), NOW), (state, vec![]));
    }
}

/// R36: a message is blamed for the end of a connection if no other one had waited for three seconds as well.
#[test]
fn a_message_is_blamed_when_it_was_alone() {
    let after = |event| decide(online(), event, NOW).1;
    let blames = |actions: &[Action]| actions.contains(&Action::Blame { message: MESSAGE, attempts: 7 });
    for (others, alone) in [(0, true), (2, true), (3, false), (16, false)] {
        assert_eq!(blames(&after(Event::Waits(unanswered(16, others)))), alone, "another one waits {others} s");
        assert_eq!(blames(&after(Event::Stale(Some(unanswered(0, others))))), alone, "another one waits {others} s");
    }
    assert!(!blames(&after(Event::Stale(None))), "it was answered meanwhile, or none was sent");
    let finishing = State::Finishing { until: later(3) };
    assert!(!blames(&decide(finishing, Event::Stale(Some(unanswered(0, 0))), NOW).1), "it closes anyway");
}

/// R36: a message that was blamed five times is given up in any state of the session, unless the session may not write
/// any more.
#[test]
fn a_message_is_given_up_after_five_tries() {
    let (closing_down, _) = decide(online(), Event::Stale(Some(unanswered(0, 0))), NOW);
    for times in 1..5 {
        assert_eq!(decide(closing_down.clone(), blamed(times), NOW), (closing_down.clone(), vec![]));
    }
    let given_up = Action::GiveUpMessage { message: MESSAGE, attempts: 7, times: 5 };
    assert_eq!(decide(closing_down.clone(), blamed(5), NOW), (closing_down.clone(), vec![given_up]));
    let (lost, _) = decide(closing_down, Event::Lost(Loss::Fenced), NOW);
    assert_eq!(decide(lost.clone(), blamed(5), NOW), (lost, vec![]));
}
