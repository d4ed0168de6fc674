//! The races that were reported of the earlier systems, by name.

use super::*;

fn unpaired() -> Event {
    Event::Row(Facts { wanted: Wanted::Offline, ..facts(Status::Unpaired, false) })
}

/// R17: "the page says Disconnected after Unpair": the socket's close, for any reason, writes no `disconnected`.
#[test]
fn a_close_after_unpair_does_not_write_disconnected() {
    for state in every_state() {
        let (state, actions) = decide(state, unpaired(), NOW);
        assert!(!actions.iter().any(|action| matches!(action, Action::Status { .. })), "{state:?}");
        for reason in every_reason() {
            let (_, actions) = decide(state.clone(), Event::Closed(reason), NOW);
            assert!(!actions.iter().any(|action| matches!(action, Action::Status { .. })), "{state:?}");
        }
    }
}

/// R17, R18: "five seconds after unpair the QR codes are back": no running timer opens anything.
#[test]
fn unpair_does_not_restart_the_qr_codes() {
    for state in every_state() {
        let (mut state, _) = decide(state, unpaired(), NOW);
        for second in 1..100 {
            let (next, actions) = decide(state, Event::Tick, later(second));
            assert!(!opens(&actions) && !actions.iter().any(|action| matches!(action, Action::ShowQr { .. })));
            state = next;
        }
    }
}

/// R17: "a stale mark bleeds into a later session": one close consumes the stop that we asked for. A session that
/// reopens after it handles the next close normally.
#[test]
fn an_intentional_stop_is_consumed_once() {
    let (state, _) = decide(online(), Event::Stale(None), NOW);
    let (state, actions) = decide(state, Event::Closed(CloseReason::Requested), NOW);
    assert!(!writes(&actions), "the close that we asked for");
    let (state, _) = decide(state, Event::Tick, later(1));
    let (state, _) = decide(state, Event::Connected(who()), later(2));
    let (_, actions) = decide(state, Event::Closed(dropped()), later(3));
    assert!(writes(&actions), "the next close is not ours");
}

/// R26: "515 taken for a failure": after the phone has accepted it is a normal step, and opens again at once.
#[test]
fn restart_required_is_a_step_of_pairing() {
    let (state, actions) = decide(accepted(), Event::Closed(CloseReason::RestartRequired), NOW);
    assert_eq!((state, actions), (opening(Purpose::FirstLogin), vec![OPEN]));
}

/// R26: "a second, stale close ends the pairing in a timeout".
#[test]
fn a_second_stale_close_is_no_timeout() {
    let (mut state, _) = decide(accepted(), Event::Closed(CloseReason::RestartRequired), NOW);
    for _ in 0..3 {
        let (next, actions) = decide(state, Event::Closed(dropped()), NOW);
        assert!(!writes(&actions));
        state = next;
    }
    assert!(matches!(state, State::Backoff { purpose: Purpose::FirstLogin, .. }), "{state:?}");
}

/// R18: "a fresh QR code each five seconds that nobody could scan": a first pairing that closes is over.
#[test]
fn a_first_pairing_does_not_start_over_each_five_seconds() {
    let (mut state, _) = decide(pairing(), Event::Closed(dropped()), NOW);
    for second in 0..600 {
        let (next, actions) = decide(state, Event::Tick, later(second));
        assert!(!opens(&actions));
        state = next;
    }
    assert_eq!(state, State::Ended(End::Settled));
}

/// R25: "codes were throttled": each code that arrives is shown, however soon after the one before.
#[test]
fn no_code_is_throttled() {
    let mut state = opening(pair());
    for number in 1..=6 {
        let code = Event::Code { code: format!("2@{number}"), lifetime: Duration::from_secs(20) };
        let (next, actions) = decide(state, code, NOW);
        assert!(matches!(actions.as_slice(), [Action::ShowQr { number: shown, .. }] if *shown == number));
        state = next;
    }
}

/// R29: a duplicate's device is logged out and its credentials are removed. This is so even if the row, which says
/// `offline` by then, is read meanwhile, or the worker is stopped.
#[test]
fn a_duplicate_is_scrubbed_whatever_comes_between() {
    let (logging_out, _) = decide(State::Linking { tries: 0 }, Event::Linked(Some("Front desk".into())), NOW);
    for between in [unpaired(), Event::Release] {
        let (state, _) = decide(logging_out.clone(), between, NOW);
        let (state, actions) = decide(state, Event::LoggedOut { confirmed: true }, NOW);
        assert_eq!((state, actions), (State::Ended(End::Settled), vec![Action::Scrub]));
    }
}

/// R14, R61: "already stopped is a failure": a session that is over accepts any order and does nothing.
#[test]
fn a_session_that_is_over_takes_any_order() {
    for end in [End::Settled, End::Released, End::Removed, End::Lost(Loss::Fenced)] {
        for event in every_event() {
            let (state, actions) = decide(State::Ended(end), event, NOW);
            assert_eq!((state, actions), (State::Ended(end), vec![]));
        }
    }
}

/// R14: a delete that comes while a stale connection is being closed is kept: the next connection logs out.
#[test]
fn a_delete_while_reconnecting_is_not_forgotten() {
    let erased = Event::Row(Facts { wanted: Wanted::Erased, ..facts(Status::Disconnected, true) });
    let (state, _) = decide(online(), Event::Stale(None), NOW);
    let (state, _) = decide(state, erased, NOW);
    let (state, actions) = decide(state, Event::Closed(CloseReason::Requested), NOW);
    assert_eq!((state, actions), (opening(Purpose::LogOut { end: End::Removed }), vec![OPEN]));
}

/// R25, R26: a 515 before the scan does not end the pairing. It goes on with a new connection and new codes, at once
/// the first time, then more and more slowly, and no longer than its window.
#[test]
fn a_restart_before_the_scan_goes_on_within_the_window() {
    for code_for in [None, Some("15550001")] {
        let purpose = Purpose::Pair(attempt(code_for));
        let (mut state, mut now, mut opened) = (opening(purpose.clone()), NOW, 0);
        loop {
            let code = Event::Code { code: "a".into(), lifetime: Duration::from_secs(60) };
            let (pairing, actions) = decide(state, code, now);
            match code_for {
                None => assert!(matches!(actions.as_slice(), [Action::ShowQr { number: 1, .. }])),
                Some(_) => assert!(matches!(actions.as_slice(), [Action::AskCode { .. }])),
            }
            now = now + Duration::from_secs(1);
            let (next, actions) = decide(pairing, Event::Closed(CloseReason::RestartRequired), now);
            state = match next {
                State::Ended(end) => {
                    assert_eq!(end, End::Settled);
                    assert!(matches!(actions.as_slice(), [Action::GiveUp { .. }]), "{actions:?}");
                    break;
                }
                State::Backoff { until, .. } => {
                    now = until;
                    decide(next, Event::Tick, now).0
                }
                next => {
                    assert_eq!((opened, actions.last()), (0, Some(&OPEN)), "at once the first time");
                    next
                }
            };
            opened += 1;
            assert_eq!(state, State::Opening { purpose: purpose.clone(), tries: opened, until: None });
        }
        assert!(now < NOW + WINDOW && (5..20).contains(&opened), "{opened} connections");
    }
}
