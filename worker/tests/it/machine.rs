//! The session machine: the rules by name, the whole table of closes, and properties over any sequence of events.

use std::time::Duration;

use common::account::Status;
use common::clock::BootTime;
use proptest::prelude::*;
use worker::link::CloseReason;
use worker::session::machine::{backoff, decide};
use worker::session::state::{Action, After, End, Event, Facts, Passkey, Purpose, State, Wanted, Who};

const NOW: BootTime = BootTime::at(Duration::from_secs(1_000));
const WINDOW: Duration = Duration::from_secs(300);

fn later(seconds: u64) -> BootTime {
    NOW + Duration::from_secs(seconds)
}

fn facts(status: Status, registered: bool) -> Facts {
    Facts {
        wanted: Wanted::Online,
        status,
        registered,
        linked: registered && status != Status::Pending,
        window_left: WINDOW,
        code_for: None,
        groups_wanted: false,
    }
}

fn who() -> Who {
    Who { number: "15550001".into(), jid: "15550001:3@s.whatsapp.net".into(), lid: None, push_name: "Ada".into() }
}

fn pairing() -> State {
    State::Pairing { until: NOW + WINDOW, code_for: None, shown: 1 }
}

fn dropped() -> CloseReason {
    CloseReason::Dropped("gone".into())
}

fn closing(end: End) -> State {
    State::Closing { deadline: later(10), then: After::End(end) }
}

fn every_state() -> Vec<State> {
    let pair = Purpose::Pair { until: NOW + WINDOW, code_for: None };
    let purposes = [pair, Purpose::FirstLogin, Purpose::Resume, Purpose::Erase];
    let mut states = vec![
        State::Fresh,
        pairing(),
        State::Pairing { until: NOW + WINDOW, code_for: Some("15550001".into()), shown: 0 },
        State::Accepted,
        State::Linking,
        State::Online,
        State::Rechecking,
        State::LoggingOut { end: End::Removed },
        State::LoggingOut { end: End::Settled },
        closing(End::Released),
        closing(End::Settled),
        closing(End::Removed),
        closing(End::Fenced),
        State::Closing { deadline: later(10), then: After::Reopen { tries: 1 } },
        State::Ended(End::Settled),
    ];
    for purpose in purposes {
        states.push(State::Opening { purpose: purpose.clone(), tries: 0 });
        states.push(State::Backoff { until: later(5), purpose, tries: 1 });
    }
    states
}

fn every_reason() -> Vec<CloseReason> {
    vec![
        CloseReason::RestartRequired,
        CloseReason::Replaced,
        CloseReason::LoggedOut { reason: "unlinked".into() },
        CloseReason::Banned { code: 101, expires_in: Duration::from_secs(60) },
        CloseReason::Outdated,
        CloseReason::Refused { code: 503 },
        dropped(),
        CloseReason::PairingExpired,
        CloseReason::Requested,
        CloseReason::Fenced,
        CloseReason::UnknownKey("2".into()),
    ]
}

fn every_event() -> Vec<Event> {
    let mut events = vec![
        Event::Tick,
        Event::Code { code: "2@x".into(), lifetime: Duration::from_secs(60) },
        Event::CodeStale,
        Event::Advice(Passkey::Compare("ABCD-1234".into())),
        Event::Accepted { jid: "15550001:3@s.whatsapp.net".into() },
        Event::PairFailed("no".into()),
        Event::Connected(who()),
        Event::Linked(None),
        Event::Linked(Some("Front desk".into())),
        Event::LoggedOut,
        Event::Stale { tries: 1 },
        Event::Release,
        Event::Fenced,
    ];
    events.extend(every_reason().into_iter().map(Event::Closed));
    for status in Status::ALL {
        for wanted in [Wanted::Online, Wanted::Offline, Wanted::Erased] {
            for registered in [true, false] {
                events.push(Event::Row(Facts { wanted, ..facts(status, registered) }));
            }
        }
    }
    events
}

fn opens(actions: &[Action]) -> bool {
    actions.contains(&Action::Open)
}

fn writes(actions: &[Action]) -> bool {
    actions.iter().any(|action| match action {
        Action::ShowQr { .. }
        | Action::Accept { .. }
        | Action::Advise(_)
        | Action::GiveUp(_)
        | Action::Link(_)
        | Action::Status { .. }
        | Action::Scrub
        | Action::Remove => true,
        Action::Open
        | Action::Close
        | Action::Abort
        | Action::Logout
        | Action::Recheck
        | Action::AskCode { .. }
        | Action::SyncGroups
        | Action::Drain
        | Action::WakeAt(_)
        | Action::Unexpected(_) => false,
    })
}

/// R11: a pending account without credentials opens to pair, within what is left of the window.
#[test]
fn pairing_opens_with_the_window_that_is_left() {
    let (state, actions) = decide(State::Fresh, Event::Row(facts(Status::Pending, false)), NOW);
    assert_eq!(state, State::Opening { purpose: Purpose::Pair { until: NOW + WINDOW, code_for: None }, tries: 0 });
    assert_eq!(actions, [Action::Open, Action::WakeAt(NOW + WINDOW)]);
}

/// R25: codes are numbered and shown as they come; the window ends the pairing, however many are left.
#[test]
fn codes_are_shown_until_the_window_closes() {
    let code = |code: &str| Event::Code { code: code.into(), lifetime: Duration::from_secs(20) };
    let opening = State::Opening { purpose: Purpose::Pair { until: NOW + WINDOW, code_for: None }, tries: 0 };
    let (state, actions) = decide(opening, code("a"), NOW);
    assert!(matches!(actions.as_slice(), [Action::ShowQr { number: 1, .. }]));
    let (state, actions) = decide(state, code("b"), NOW);
    assert!(matches!(actions.as_slice(), [Action::ShowQr { number: 2, .. }]));
    let (state, actions) = decide(state, Event::Tick, NOW + WINDOW);
    assert!(matches!(actions.as_slice(), [Action::Close, Action::GiveUp(_), Action::WakeAt(_)]));
    let (state, actions) = decide(state, Event::Closed(CloseReason::Requested), NOW + WINDOW);
    assert_eq!((state, actions), (State::Ended(End::Settled), vec![]));
}

/// R25: codes that ran out end the pairing like the window does.
#[test]
fn codes_that_run_out_end_the_pairing() {
    let (state, actions) = decide(pairing(), Event::Closed(CloseReason::PairingExpired), NOW);
    assert_eq!(state, State::Ended(End::Settled));
    assert!(matches!(actions.as_slice(), [Action::GiveUp(_)]));
}

/// R31: a pairing by code asks for one code, once the server listens.
#[test]
fn pairing_by_code_asks_once() {
    let purpose = Purpose::Pair { until: NOW + WINDOW, code_for: Some("15550001".into()) };
    let event = || Event::Code { code: "a".into(), lifetime: Duration::from_secs(60) };
    let (state, actions) = decide(State::Opening { purpose, tries: 0 }, event(), NOW);
    assert_eq!(actions, [Action::AskCode { phone: "15550001".into() }]);
    let (_, actions) = decide(state, event(), NOW);
    assert_eq!(actions, []);
}

/// R26: the close after a scan is a step: open again at once; the next login makes it connected.
#[test]
fn the_close_after_a_scan_reopens_at_once() {
    let (state, actions) = decide(pairing(), Event::Accepted { jid: "j".into() }, NOW);
    assert_eq!((&state, actions.as_slice()), (&State::Accepted, [Action::Accept { jid: "j".into() }].as_slice()));
    let (state, actions) = decide(state, Event::Closed(CloseReason::RestartRequired), NOW);
    assert_eq!(state, State::Opening { purpose: Purpose::FirstLogin, tries: 0 });
    assert_eq!(actions, [Action::Open]);
    let (state, actions) = decide(state, Event::Connected(who()), NOW);
    assert_eq!((state, actions), (State::Linking, vec![Action::Link(who())]));
}

/// R26: a second, stale close after the scan is a failed try, never a timeout, and writes no status.
#[test]
fn a_stale_close_after_the_scan_is_no_timeout() {
    let opening = State::Opening { purpose: Purpose::FirstLogin, tries: 0 };
    let (state, actions) = decide(opening, Event::Closed(dropped()), NOW);
    assert!(matches!(state, State::Backoff { purpose: Purpose::FirstLogin, tries: 1, .. }));
    assert!(!writes(&actions));
}

/// R18: before a phone accepted, no close ever opens again by itself.
#[test]
fn a_first_pairing_that_closes_never_loops() {
    for reason in every_reason() {
        for state in
            [pairing(), State::Opening { purpose: Purpose::Pair { until: NOW + WINDOW, code_for: None }, tries: 0 }]
        {
            let (state, actions) = decide(state, Event::Closed(reason.clone()), NOW);
            assert!(matches!(state, State::Ended(_)), "{reason:?}");
            assert!(!opens(&actions), "{reason:?}");
        }
    }
}

/// R12, R17 (the earlier system's race): unpair writes the status; the socket's own close, arriving later, writes nothing and
/// reconnects nothing.
#[test]
fn unpair_is_not_overwritten_by_the_sockets_close() {
    let unpaired = Event::Row(Facts { wanted: Wanted::Offline, ..facts(Status::Unpaired, false) });
    let (state, actions) = decide(State::Online, unpaired, NOW);
    assert!(!writes(&actions));
    for reason in every_reason() {
        let (state, actions) = decide(state.clone(), Event::Closed(reason.clone()), NOW);
        assert!(matches!(state, State::Ended(End::Settled | End::Fenced)), "{reason:?}");
        assert_eq!(actions, [], "{reason:?}");
    }
}

/// R17: an internal recovery still says `disconnected` and reconnects.
#[test]
fn a_lost_connection_says_disconnected_and_reconnects() {
    let (state, actions) = decide(State::Online, Event::Closed(dropped()), NOW);
    assert!(matches!(state, State::Backoff { purpose: Purpose::Resume, tries: 1, .. }));
    assert!(matches!(actions.first(), Some(Action::Status { status: Status::Disconnected, .. })));
    let (state, actions) = decide(state, Event::Tick, later(100));
    assert_eq!(state, State::Opening { purpose: Purpose::Resume, tries: 1 });
    assert_eq!(actions, [Action::Open]);
}

/// R02: `replaced` is never answered with a reconnect before lease and epoch were checked again.
#[test]
fn replaced_checks_the_right_to_act_first() {
    let (state, actions) = decide(State::Online, Event::Closed(CloseReason::Replaced), NOW);
    assert_eq!(state, State::Rechecking);
    assert!(actions.contains(&Action::Recheck) && !opens(&actions) && !actions.contains(&Action::Scrub));
    let (after, actions) = decide(state.clone(), Event::Fenced, NOW);
    assert_eq!((after, actions), (State::Ended(End::Fenced), vec![]));
    let (after, actions) = decide(state, Event::Row(facts(Status::Disconnected, true)), NOW);
    assert!(matches!(after, State::Backoff { .. }) && !opens(&actions));
}

/// R14: delete logs out first; a logout that can't be had never strands it.
#[test]
fn delete_logs_out_and_never_strands() {
    let erased = Event::Row(Facts { wanted: Wanted::Erased, ..facts(Status::Connected, true) });
    let (state, actions) = decide(State::Online, erased.clone(), NOW);
    assert_eq!(actions, [Action::Logout]);
    let (state, actions) = decide(state, Event::LoggedOut, NOW);
    assert_eq!((state, actions), (State::Ended(End::Removed), vec![Action::Remove]));
    // no connection to be had: a few tries, then it is removed all the same
    let (mut state, _) = decide(State::Fresh, erased, NOW);
    for tick in 1..=3 {
        (state, _) = decide(state, Event::Closed(dropped()), later(tick * 100));
        (state, _) = decide(state, Event::Tick, later(tick * 100 + 99));
    }
    assert_eq!(state, State::Ended(End::Removed));
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

/// R29: the phone of another account: the new device is logged out and scrubbed.
#[test]
fn a_duplicate_is_logged_out_and_scrubbed() {
    let (state, actions) = decide(State::Linking, Event::Linked(Some("Front desk".into())), NOW);
    assert_eq!(actions, [Action::Logout]);
    let (state, actions) = decide(state, Event::LoggedOut, NOW);
    assert_eq!((state, actions), (State::Ended(End::Settled), vec![Action::Scrub]));
}

/// A logged-out device ends in `logged_out` without its credentials, a ban in `banned` until it is over.
#[test]
fn logout_and_ban_end_in_the_right_status() {
    let (state, actions) = decide(State::Online, Event::Closed(CloseReason::LoggedOut { reason: "x".into() }), NOW);
    assert_eq!(state, State::Ended(End::Settled));
    assert!(matches!(actions.as_slice(), [Action::Status { status: Status::LoggedOut, .. }, Action::Scrub]));
    let ban = CloseReason::Banned { code: 101, expires_in: Duration::from_secs(600) };
    let (state, actions) = decide(State::Online, Event::Closed(ban), NOW);
    assert!(matches!(state, State::Backoff { until, .. } if until == later(600)));
    assert!(matches!(actions.first(), Some(Action::Status { status: Status::Banned, .. })));
}

/// R61: a released session closes its connection and asks nothing more.
#[test]
fn release_closes_and_ends() {
    for state in every_state() {
        let (state, actions) = decide(state, Event::Release, NOW);
        assert!(!opens(&actions));
        assert!(matches!(state, State::Ended(_) | State::Closing { then: After::End(_), .. }), "{state:?}");
    }
}

/// R28: the whole table: no pair of state and event opens a connection while one may be open, or acts when it is over.
#[test]
fn every_pair_of_state_and_event() {
    for state in every_state() {
        for event in every_event() {
            let words = format!("{state:?} + {event:?}");
            let open_before =
                matches!(state, State::Pairing { .. } | State::Linking | State::Online | State::LoggingOut { .. });
            let over = matches!(state, State::Ended(_));
            let is_close = matches!(event, Event::Closed(_));
            let fenced = matches!(event, Event::Fenced | Event::Closed(CloseReason::Fenced));
            let (after, actions) = decide(state.clone(), event, NOW);
            assert!(!(open_before && !is_close && opens(&actions)), "opens a second connection: {words}");
            assert!(!(over && (opens(&actions) || writes(&actions))), "acts when it is over: {words}");
            assert!(!over || matches!(after, State::Ended(_)), "comes back to life: {words}");
            assert!(!(fenced && writes(&actions)), "writes when fenced: {words}");
        }
    }
}

/// A session whose stored credentials turn out to be no link is not left waiting: each purpose has its end.
#[test]
fn a_code_where_a_login_was_expected_ends_the_session() {
    let code = || Event::Code { code: "a".into(), lifetime: Duration::from_secs(60) };
    let opening = |purpose| State::Opening { purpose, tries: 0 };
    let (state, actions) = decide(opening(Purpose::FirstLogin), code(), NOW);
    assert!(matches!(actions.as_slice(), [Action::Close, Action::GiveUp(_), Action::WakeAt(_)]));
    assert_eq!(state, closing(End::Settled));
    let (_, actions) = decide(opening(Purpose::Resume), code(), NOW);
    assert!(matches!(actions.get(1), Some(Action::Status { status: Status::LoggedOut, .. })));
    let (state, _) = decide(opening(Purpose::Erase), code(), NOW);
    assert_eq!(state, closing(End::Removed));
}

/// Waiting grows and ends at a minute.
#[test]
fn backoff_grows_to_a_minute() {
    let waits: Vec<u64> = (0..10).map(|tries| backoff(tries).as_secs()).collect();
    assert_eq!(waits, [0, 1, 2, 5, 10, 20, 40, 60, 60, 60]);
}

proptest! {
    /// R17: from any sequence of events, once the row says `offline` no later event opens a connection.
    #[test]
    fn an_intentional_stop_never_reconnects(before in proptest::collection::vec(any_event(), 0..20), after in proptest::collection::vec(any_event(), 0..20)) {
        let mut state = State::Fresh;
        for event in before {
            state = decide(state, event, NOW).0;
        }
        let offline = Event::Row(Facts { wanted: Wanted::Offline, ..facts(Status::Unpaired, false) });
        state = decide(state, offline, NOW).0;
        for event in after {
            let (next, actions) = decide(state, event, later(1_000));
            prop_assert!(!opens(&actions));
            state = next;
        }
    }

    /// R02: after `Fenced` nothing is written and nothing opened, whatever follows.
    #[test]
    fn a_fenced_session_writes_nothing(before in proptest::collection::vec(any_event(), 0..20), after in proptest::collection::vec(any_event(), 0..20)) {
        let mut state = State::Fresh;
        for event in before {
            state = decide(state, event, NOW).0;
        }
        state = decide(state, Event::Fenced, NOW).0;
        for event in after {
            let (next, actions) = decide(state, event, later(1_000));
            prop_assert!(!opens(&actions) && !writes(&actions));
            state = next;
        }
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    proptest::sample::select(every_event())
}

/// A connection that gives no acknowledgement is given up and opened again, later each time: never a storm of logins.
#[test]
fn a_stale_connection_backs_off() {
    for (tries, seconds) in [(1, 1), (2, 2), (5, 20), (99, 60)] {
        let (state, actions) = decide(State::Online, Event::Stale { tries }, NOW);
        assert_eq!(actions.first(), Some(&Action::Close));
        let (state, actions) = decide(state, Event::Closed(CloseReason::Requested), NOW);
        assert!(!opens(&actions));
        assert!(matches!(state, State::Backoff { until, .. } if until == later(seconds)), "{state:?}");
    }
}

/// R29: a first login that was interrupted (replaced, banned) still asks the duplicate guard.
#[test]
fn an_interrupted_first_login_still_asks_the_duplicate_guard() {
    let unlinked = |status| Event::Row(Facts { linked: false, ..facts(status, true) });
    let (state, _) = decide(State::Rechecking, unlinked(Status::Pending), NOW);
    assert!(matches!(state, State::Backoff { purpose: Purpose::FirstLogin, .. }));
    let (state, _) = decide(State::Fresh, unlinked(Status::Banned), NOW);
    assert!(matches!(state, State::Opening { purpose: Purpose::FirstLogin, .. }));
}

/// R04: a record under a key that the worker was not given says nothing about the account: nothing is written or deleted,
/// and the account is given back for a worker that has the key. What was ordered before stands.
#[test]
fn an_unknown_key_changes_nothing() {
    for state in every_state() {
        let ordered = matches!(state, State::Closing { .. } | State::LoggingOut { .. } | State::Ended(_));
        let (next, actions) = decide(state.clone(), Event::Closed(CloseReason::UnknownKey("2".into())), NOW);
        if !ordered {
            assert_eq!((next, actions), (State::Ended(End::Released), vec![]), "{state:?}");
        }
    }
}
