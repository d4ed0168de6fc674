//! The session machine: its rules by name. The other files have the whole table (`table`), its drawing (`chart`), what
//! holds for any sequence of events (`properties`), how a link begins (`opening`), passes the passkey gate (`gate`),
//! serves (`sending`) and ends (`leaving`), and the races of the earlier systems (`races`).

use std::time::Duration;

use domain::account::Status;
use domain::id::MessageId;
use process::clock::BootTime;
use process::telemetry::metrics::labels::{Loss, PairingStep, RestartCause};
use worker::link::CloseReason;
use worker::session::machine::action::Action;
use worker::session::machine::decide;
use worker::session::machine::event::{Event, Facts, Passkey, Unanswered, Wanted, Who};
use worker::session::machine::restart::backoff;
use worker::session::machine::state::{After, Attempt, End, Groups, Purpose, STEADY, State};

mod cases;
mod chart;
mod gate;
mod leaving;
mod opening;
mod properties;
mod races;
mod sending;
mod table;

use cases::*;

/// R11: a pending account without credentials opens to pair, within the rest of the window.
#[test]
fn pairing_opens_with_the_window_that_is_left() {
    let (state, actions) = decide(State::Fresh, Event::Row(facts(Status::Pending, false)), NOW);
    assert_eq!(state, opening(pair()));
    assert_eq!(actions, [OPEN]);
    assert_eq!(state.wakes_at(), Some(NOW + WINDOW));
}

/// R25: codes are numbered and shown as they arrive. The window ends the pairing, even if codes are left.
#[test]
fn codes_are_shown_until_the_window_closes() {
    let code = |code: &str| Event::Code { code: code.into(), lifetime: Duration::from_secs(20) };
    let (state, actions) = decide(opening(pair()), code("a"), NOW);
    assert!(matches!(actions.as_slice(), [Action::ShowQr { number: 1, .. }]));
    let (state, actions) = decide(state, code("b"), NOW);
    assert!(matches!(actions.as_slice(), [Action::ShowQr { number: 2, .. }]));
    let (state, actions) = decide(state, Event::Tick, NOW + WINDOW);
    assert!(matches!(actions.as_slice(), [Action::Close, Action::GiveUp { .. }]));
    let (state, actions) = decide(state, Event::Closed(CloseReason::Requested), NOW + WINDOW);
    assert_eq!((state, actions), (State::Ended(End::Settled), vec![]));
}

/// R25: the end of the codes ends the pairing as the window does.
#[test]
fn codes_that_run_out_end_the_pairing() {
    let (state, actions) = decide(pairing(), Event::Closed(CloseReason::PairingExpired), NOW);
    assert_eq!(state, State::Ended(End::Settled));
    assert!(matches!(actions.as_slice(), [Action::GiveUp { .. }]));
}

/// R31: a pairing by code requests one code, after the server listens.
#[test]
fn pairing_by_code_asks_once() {
    let purpose = Purpose::Pair(attempt(Some("15550001")));
    let event = || Event::Code { code: "a".into(), lifetime: Duration::from_secs(60) };
    let (state, actions) = decide(opening(purpose), event(), NOW);
    assert_eq!(actions, [Action::AskCode { phone: "15550001".into() }]);
    let (_, actions) = decide(state, event(), NOW);
    assert_eq!(actions, []);
}

/// R26: the close after a scan is a normal step: the session opens again at once, and the next login makes it
/// connected.
#[test]
fn the_close_after_a_scan_reopens_at_once() {
    let (state, actions) = decide(pairing(), Event::Accepted { jid: "j".into() }, NOW);
    assert_eq!((&state, actions.as_slice()), (&accepted(), [Action::Accept { jid: "j".into() }].as_slice()));
    let (state, actions) = decide(state, Event::Closed(CloseReason::RestartRequired), NOW);
    assert_eq!(state, opening(Purpose::FirstLogin));
    assert_eq!(actions, [OPEN]);
    let (state, actions) = decide(state, Event::Connected(who()), NOW);
    assert_eq!((state, actions), (State::Linking { tries: 0 }, vec![Action::Link(who())]));
}

/// R26: a second, stale close after the scan is a failed try and never a timeout, and writes no status.
#[test]
fn a_stale_close_after_the_scan_is_no_timeout() {
    let (state, actions) = decide(opening(Purpose::FirstLogin), Event::Closed(dropped()), NOW);
    assert!(matches!(state, State::Backoff { purpose: Purpose::FirstLogin, tries: 1, .. }));
    assert!(!writes(&actions));
}

/// R18: before a phone has accepted, a session opens again by itself only after a close by which WhatsApp asks for it.
#[test]
fn a_first_pairing_that_closes_never_loops() {
    for reason in every_reason().into_iter().filter(|reason| *reason != CloseReason::RestartRequired) {
        for state in [pairing(), opening(pair())] {
            let (state, actions) = decide(state, Event::Closed(reason.clone()), NOW);
            assert!(matches!(state, State::Ended(_)), "{reason:?}");
            assert!(!opens(&actions), "{reason:?}");
        }
    }
}

/// R12, R17 (a race of the earlier system): unpair writes the status. The socket's own close arrives later; it writes
/// nothing and opens nothing.
#[test]
fn unpair_is_not_overwritten_by_the_sockets_close() {
    let unpaired = Event::Row(Facts { wanted: Wanted::Offline, ..facts(Status::Unpaired, false) });
    let (state, actions) = decide(online(), unpaired, NOW);
    assert!(!writes(&actions));
    for reason in every_reason() {
        let (state, actions) = decide(state.clone(), Event::Closed(reason.clone()), NOW);
        assert!(matches!(state, State::Ended(End::Settled | End::Lost(Loss::Fenced))), "{reason:?}");
        assert_eq!(actions, [], "{reason:?}");
    }
}

/// R17: a lost connection still writes `disconnected` and opens again.
#[test]
fn a_lost_connection_says_disconnected_and_reconnects() {
    let (state, actions) = decide(online(), Event::Closed(dropped()), NOW);
    assert_eq!(state, State::Opening { purpose: Purpose::Resume, tries: 1, until: None }, "at once the first time");
    assert!(matches!(
        actions.as_slice(),
        [
            Action::StopSending,
            Action::Restart { cause: RestartCause::Dropped },
            Action::Status { status: Status::Disconnected, .. },
            QUEUE
        ]
    ));
    let (state, _) = decide(state, Event::Connected(who()), NOW);
    let (state, actions) = decide(state, Event::Closed(dropped()), NOW);
    assert_eq!(state, State::Backoff { until: later(1), purpose: Purpose::Resume, tries: 2 });
    assert!(!opens(&actions));
    let (state, actions) = decide(state, Event::Tick, later(1));
    assert_eq!(state, State::Opening { purpose: Purpose::Resume, tries: 2, until: None });
    assert_eq!(actions, [QUEUE]);
}

/// R02: after `replaced` the session opens again only after it has checked lease and epoch.
#[test]
fn replaced_checks_the_right_to_act_first() {
    let (state, actions) = decide(online(), Event::Closed(CloseReason::Replaced), NOW);
    assert_eq!(state, State::Rechecking { tries: 1 });
    assert!(actions.contains(&Action::Recheck) && !opens(&actions) && !actions.contains(&Action::Scrub));
    let (after, actions) = decide(state.clone(), Event::Lost(Loss::Fenced), NOW);
    assert_eq!((after, actions), (State::Ended(End::Lost(Loss::Fenced)), vec![]));
    let (after, actions) = decide(state, Event::Row(facts(Status::Disconnected, true)), NOW);
    assert!(matches!(after, State::Backoff { .. }) && !opens(&actions));
}

/// R90: the account of a session was set to `disconnected` because its worker's heartbeat was late. The session writes
/// `connected` again.
#[test]
fn an_open_session_says_so_again() {
    let row = |status| Event::Row(facts(status, true));
    let (state, actions) = decide(online(), row(Status::Disconnected), NOW);
    assert_eq!(state, online());
    let well = Action::Status { status: Status::Connected, reason: None, banned_for: None };
    assert_eq!(actions, [well, Action::Drain]);
    assert_eq!(decide(online(), row(Status::Connected), NOW).1, [Action::Drain]);
}

/// R61: a released session requests nothing more. It ends, closes, or first finishes what has a bounded duration.
#[test]
fn release_closes_and_ends() {
    for state in every_state() {
        let (state, actions) = decide(state, Event::Release, NOW);
        assert!(!opens(&actions));
        assert!(
            matches!(
                state,
                State::Ended(_)
                    | State::Closing { then: After::End(_), .. }
                    | State::Finishing { .. }
                    | State::LoggingOut { .. }
            ),
            "{state:?}"
        );
    }
}

/// R61: a session that is given back waits at most three seconds for outstanding messages. Then it closes, and only
/// then the account is given back.
#[test]
fn a_released_session_finishes_its_sends_first() {
    let (finishing, actions) = decide(online(), Event::Release, NOW);
    assert_eq!((&finishing, actions), (&State::Finishing { until: later(3) }, vec![Action::StopSending]));
    for (event, at) in [(Event::Idle, NOW), (Event::Tick, later(3)), (Event::Stale(None), NOW)] {
        let (state, actions) = decide(finishing.clone(), event, at);
        assert_eq!(actions, [Action::Close]);
        let (state, actions) = decide(state, Event::Closed(CloseReason::Requested), at);
        assert_eq!((state, actions), (State::Ended(End::Released), vec![]));
    }
    let (state, actions) = decide(finishing, Event::Lost(Loss::Fenced), NOW);
    assert_eq!((state, actions), (closing(End::Lost(Loss::Fenced)), vec![Action::Abort]));
}

/// R62: no state waits for ever. Each state that waits for something outside has a time at which it acts.
#[test]
fn every_wait_has_an_end() {
    for state in every_state() {
        let opened = decide(state, Event::Opened, NOW).0;
        match opened.wakes_at() {
            Some(at) => {
                assert_eq!(decide(opened.clone(), Event::Tick, NOW).0, opened, "acts before its time");
                assert_ne!(decide(opened.clone(), Event::Tick, at).0, opened, "waits for ever");
            }
            // steady, over, or waiting only for the database, which ends with the right to act
            None => assert!(
                matches!(
                    opened,
                    State::Fresh
                        | State::Linking { .. }
                        | State::Rechecking { .. }
                        | State::Online { .. }
                        | State::Ended(_)
                ),
                "{opened:?}"
            ),
        }
    }
}

/// R62: a connection that never logs in is closed and opened anew. A pairing that never shows a code ends.
#[test]
fn a_connection_that_gets_nowhere_is_given_up() {
    let late = |purpose| {
        let (state, _) = decide(opening(purpose), Event::Opened, NOW);
        decide(state, Event::Tick, later(30))
    };
    for purpose in [Purpose::Resume, Purpose::FirstLogin, Purpose::LogOut { end: End::Removed }] {
        let (state, actions) = late(purpose.clone());
        assert_eq!(actions.first(), Some(&Action::Close));
        assert_eq!(state, State::Closing { deadline: later(40), then: After::Reopen { purpose, tries: 1 } });
    }
    let (state, actions) = late(pair());
    assert_eq!(state, State::Closing { deadline: later(40), then: After::End(End::Settled) });
    assert!(matches!(actions.as_slice(), [Action::Close, Action::GiveUp { .. }]));
    let (state, _) = decide(accepted(), Event::Tick, later(30));
    let (state, actions) = decide(state, Event::Closed(CloseReason::Requested), later(30));
    assert_eq!((state, actions), (opening(Purpose::FirstLogin), vec![OPEN]));
}

/// R62: a session that connects and drops at once waits longer each time, gives the reason, and reports at 5, 10, 20
/// and 40 restarts.
#[test]
fn a_flapping_session_backs_off_and_is_told() {
    let (mut state, mut now, mut told, mut waits) = (online(), NOW, vec![], vec![]);
    for restart in 1..=45 {
        let (after, actions) = decide(state, Event::Closed(dropped()), now);
        let (until, tries) = match after {
            State::Backoff { until, tries, .. } => (until, tries),
            State::Opening { tries, .. } => (now, tries),
            _ => panic!("{after:?}"),
        };
        assert_eq!(tries, restart);
        waits.push(until.since(now).as_secs());
        told.extend(actions.iter().filter_map(|action| match action {
            Action::Unstable { restarts, .. } => Some(*restarts),
            _ => None,
        }));
        let says = actions.iter().any(
            |action| matches!(action, Action::Status { reason: Some(reason), .. } if reason.starts_with("restarted ")),
        );
        assert_eq!(says, restart >= 5);
        now = until;
        (state, _) = decide(after, Event::Tick, now);
        let (connected, actions) = decide(state, Event::Connected(who()), now);
        let reason = (restart >= 5).then(|| format!("restarted {restart} times in a row"));
        assert_eq!(actions[0], Action::Status { status: Status::Connected, reason, banned_for: None });
        state = connected;
    }
    assert_eq!(waits[..9], [0, 1, 2, 5, 10, 20, 40, 60, 60]);
    assert_eq!(told, [5, 10, 20, 40]);
}

/// R62: a minute online resets the count of restarts, and an unstable account is reported as recovered.
#[test]
fn a_steady_minute_starts_from_zero() {
    for (tries, told) in [(4, vec![]), (7, vec![Action::Recovered { restarts: 7 }])] {
        let state = State::Online { since: NOW, tries, groups: Groups::Known };
        assert_eq!(state.wakes_at(), Some(NOW + STEADY));
        let (steady, actions) = decide(state.clone(), Event::Tick, NOW + STEADY);
        assert_eq!(steady, State::Online { since: NOW, tries: 0, groups: Groups::Known });
        assert_eq!(actions.into_iter().skip(1).collect::<Vec<_>>(), told);
        // even if the close comes before the timer
        let (state, _) = decide(state, Event::Closed(dropped()), NOW + STEADY);
        assert!(matches!(state, State::Opening { tries: 1, .. }), "{state:?}");
    }
}

/// R62: two owners outside of our cluster that replace each other do so more and more slowly.
#[test]
fn being_replaced_again_and_again_backs_off() {
    let flapping = State::Online { since: NOW, tries: 6, groups: Groups::Known };
    let (state, _) = decide(flapping, Event::Closed(CloseReason::Replaced), NOW);
    let (state, _) = decide(state, Event::Row(facts(Status::Disconnected, true)), NOW);
    assert_eq!(state, State::Backoff { until: later(60), purpose: Purpose::Resume, tries: 7 });
}

/// R28: the whole table: no pair of state and event opens a connection while another may be open, or acts after the
/// end.
#[test]
fn every_pair_of_state_and_event() {
    for state in every_state() {
        for event in every_event() {
            let words = format!("{state:?} + {event:?}");
            let open_before = matches!(
                state,
                State::Pairing { .. } | State::Linking { .. } | State::Online { .. } | State::LoggingOut { .. }
            );
            let over = matches!(state, State::Ended(_));
            let is_close = matches!(event, Event::Closed(_));
            let fenced = matches!(event, Event::Lost(Loss::Fenced) | Event::Closed(CloseReason::Fenced));
            let (after, actions) = decide(state.clone(), event, NOW);
            assert!(!(open_before && !is_close && opens(&actions)), "opens a second connection: {words}");
            assert!(!(over && (opens(&actions) || writes(&actions))), "acts when it is over: {words}");
            assert!(!over || matches!(after, State::Ended(_)), "comes back to life: {words}");
            assert!(!(fenced && writes(&actions)), "writes when fenced: {words}");
        }
    }
}

/// A session whose stored credentials turn out not to be linked does not wait for ever: it ends, whatever it was for.
#[test]
fn a_code_where_a_login_was_expected_ends_the_session() {
    let code = || Event::Code { code: "a".into(), lifetime: Duration::from_secs(60) };
    let (state, actions) = decide(opening(Purpose::FirstLogin), code(), NOW);
    assert!(matches!(actions.as_slice(), [Action::Close, Action::GiveUp { .. }]));
    assert_eq!(state, closing(End::Settled));
    let (_, actions) = decide(opening(Purpose::Resume), code(), NOW);
    assert!(matches!(actions.get(1), Some(Action::Status { status: Status::LoggedOut, .. })));
    let (state, _) = decide(opening(Purpose::LogOut { end: End::Removed }), code(), NOW);
    assert_eq!(state, closing(End::Removed));
}

/// The backoff grows up to a minute.
#[test]
fn backoff_grows_to_a_minute() {
    let waits: Vec<u64> = (0..10).map(|tries| backoff(tries).as_secs()).collect();
    assert_eq!(waits, [0, 1, 2, 5, 10, 20, 40, 60, 60, 60]);
}

/// R62: a connection without acknowledgements is given up and opened again, later each time, so that there is never a
/// storm of logins.
#[test]
fn a_stale_connection_backs_off() {
    for (tries, seconds) in [(0, 1), (1, 2), (4, 20), (98, 60)] {
        let (state, actions) =
            decide(State::Online { since: NOW, tries, groups: Groups::Known }, Event::Stale(None), NOW);
        let stale = Action::Restart { cause: RestartCause::Stale };
        assert_eq!(actions[..3], [Action::StopSending, Action::Close, stale]);
        let (state, actions) = decide(state, Event::Closed(CloseReason::Requested), NOW);
        assert!(!opens(&actions));
        assert!(matches!(state, State::Backoff { until, .. } if until == later(seconds)), "{state:?}");
    }
}

/// R29: an interrupted first login (replaced, banned) is still checked for a duplicate.
#[test]
fn an_interrupted_first_login_still_asks_the_duplicate_guard() {
    let unlinked = |status| Event::Row(Facts { linked: false, ..facts(status, true) });
    let (state, _) = decide(State::Rechecking { tries: 1 }, unlinked(Status::Pending), NOW);
    assert!(matches!(state, State::Backoff { purpose: Purpose::FirstLogin, .. }));
    let (state, _) = decide(State::Fresh, unlinked(Status::Banned), NOW);
    assert!(matches!(state, State::Opening { purpose: Purpose::FirstLogin, .. }));
}

/// R04: a record under a key that the worker does not have says nothing about the account. Nothing is written or
/// deleted, and the account is given back for a worker that has the key. Earlier orders stay in force.
#[test]
fn an_unknown_key_changes_nothing() {
    for state in every_state() {
        let ordered = matches!(state, State::Closing { .. } | State::LoggingOut { .. } | State::Ended(_));
        let (next, actions) = decide(state.clone(), Event::Closed(CloseReason::UnknownKey("2".into())), NOW);
        if !ordered {
            let stops = if state.sends() { vec![Action::StopSending] } else { vec![] };
            assert_eq!((next, actions), (State::Ended(End::Released), stops), "{state:?}");
        }
    }
}
