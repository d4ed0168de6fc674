//! Unpair, logout, delete, and other ends of a link: when WhatsApp is told, and what is left.

use super::*;

/// R14: delete logs out first. A logout that fails never blocks it.
#[test]
fn delete_logs_out_and_never_strands() {
    let erased = Event::Row(Facts { wanted: Wanted::Erased, ..facts(Status::Connected, true) });
    let (state, actions) = decide(online(), erased.clone(), NOW);
    assert_eq!(actions, [Action::StopSending, Action::Logout]);
    let (state, actions) = decide(state, Event::LoggedOut { confirmed: true }, NOW);
    assert_eq!((state, actions), (State::Ended(End::Removed), vec![Action::Remove]));
    // without a connection there are a few tries, and then it is removed nevertheless
    let (mut state, _) = decide(State::Fresh, erased, NOW);
    for tick in 1..=3 {
        (state, _) = decide(state, Event::Closed(dropped()), later(tick * 100));
        (state, _) = decide(state, Event::Tick, later(tick * 100 + 99));
    }
    assert_eq!(state, State::Ended(End::Removed));
}

/// R91: a logout tells WhatsApp first, and unlinks the account here with any result. The result is recorded.
#[test]
fn a_logout_tells_whatsapp_and_never_strands() {
    let unlinked = || Event::Row(Facts { wanted: Wanted::Unlinked, ..facts(Status::Connected, true) });
    for confirmed in [true, false] {
        let (state, actions) = decide(online(), unlinked(), NOW);
        assert_eq!(actions, [Action::StopSending, Action::Logout]);
        let (state, actions) = decide(state, Event::LoggedOut { confirmed }, NOW);
        assert_eq!((state, actions), (State::Ended(End::Unlinked), vec![Action::Unlink { confirmed }]));
    }
    // the phone had removed the device already
    let (state, _) = decide(State::Fresh, unlinked(), NOW);
    let (state, actions) = decide(state, Event::Closed(CloseReason::LoggedOut { reason: "x".into() }), NOW);
    assert_eq!((state, actions), (State::Ended(End::Unlinked), vec![Action::Unlink { confirmed: true }]));
    // without a connection there are a few tries, and then it is unlinked here
    let (mut state, mut all) = (decide(State::Fresh, unlinked(), NOW).0, vec![]);
    for tick in 1..=3 {
        for (event, at) in [(Event::Closed(dropped()), tick * 100), (Event::Tick, tick * 100 + 99)] {
            let (next, actions) = decide(state, event, later(at));
            state = next;
            all.extend(actions);
        }
    }
    assert_eq!(state, State::Ended(End::Unlinked));
    assert_eq!(all.last(), Some(&Action::Unlink { confirmed: false }));
    // deleted meanwhile: the same logout is used, and the account is removed
    let (state, _) = decide(online(), unlinked(), NOW);
    let erased = Event::Row(Facts { wanted: Wanted::Erased, ..facts(Status::Connected, true) });
    let (state, actions) = decide(state, erased, NOW);
    assert_eq!(actions, []);
    let (_, actions) = decide(state, Event::LoggedOut { confirmed: true }, NOW);
    assert_eq!(actions, [Action::Remove]);
}

/// R14: unpair never calls logout.
#[test]
fn unpair_never_logs_out() {
    for state in every_state() {
        let row = Event::Row(Facts { wanted: Wanted::Offline, ..facts(Status::Unpaired, false) });
        let (_, actions) = decide(state, row, NOW);
        assert!(!actions.contains(&Action::Logout));
    }
}

/// R29: the phone belongs to another account: the new device is logged out, and its credentials are removed.
#[test]
fn a_duplicate_is_logged_out_and_scrubbed() {
    let (state, actions) = decide(State::Linking { tries: 0 }, Event::Linked(Some("Front desk".into())), NOW);
    assert_eq!(actions, [Action::Logout]);
    let (state, actions) = decide(state, Event::LoggedOut { confirmed: true }, NOW);
    assert_eq!((state, actions), (State::Ended(End::Settled), vec![Action::Scrub]));
}

/// A logged-out device ends in `logged_out` without its credentials. A ban ends in `banned` until it is over.
#[test]
fn logout_and_ban_end_in_the_right_status() {
    let (state, actions) = decide(online(), Event::Closed(CloseReason::LoggedOut { reason: "x".into() }), NOW);
    assert_eq!(state, State::Ended(End::Settled));
    assert!(matches!(
        actions.as_slice(),
        [Action::StopSending, Action::Status { status: Status::LoggedOut, .. }, Action::Scrub]
    ));
    let ban = CloseReason::Banned { code: 101, expires_in: Duration::from_secs(600) };
    let (state, actions) = decide(online(), Event::Closed(ban), NOW);
    assert!(matches!(state, State::Backoff { until, .. } if until == later(600)));
    assert!(matches!(actions.as_slice(), [Action::StopSending, Action::Status { status: Status::Banned, .. }]));
}
