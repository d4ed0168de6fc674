//! What a session does while its connection serves.

use super::*;

/// R36: messages are handed over while a session is online, and only then: whatever leads there starts it, as the last thing;
/// whatever leads away stops it before anything else.
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

/// R90: the first thing that is said of a login is that the account is connected; then its messages go out.
#[test]
fn a_login_is_told_before_anything_is_sent() {
    let (_, actions) = decide(opening(Purpose::Resume), Event::Connected(who()), NOW);
    let connected = Action::Status { status: Status::Connected, reason: None, banned_for: None };
    assert_eq!(actions, [connected, Action::SyncGroups, Action::StartSending]);
    let (_, actions) = decide(State::Linking { tries: 0 }, Event::Linked(None), NOW);
    assert_eq!(actions, [Action::SyncGroups, Action::StartSending]);
}

/// R35: the groups are read at each login, when WhatsApp says that one has changed, and when somebody asks; one reading at a
/// time, and one more for all that asked meanwhile.
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

/// R35: a change of the groups is nothing to a session that is not online, and the next connection reads them anyway.
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
