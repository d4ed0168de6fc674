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
