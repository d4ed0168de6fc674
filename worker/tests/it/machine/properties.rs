//! What holds for any sequence of events, at any pace. proptest prints the seed of a failure, and the shortest sequence.

use proptest::prelude::*;

use super::*;

fn any_event() -> impl Strategy<Value = Event> {
    proptest::sample::select(every_event())
}

/// Events, each some seconds after the one before.
fn any_life() -> impl Strategy<Value = Vec<(Event, u64)>> {
    proptest::collection::vec((any_event(), 0_u64..90), 0..24)
}

/// Lives on from a state; calls `look` with each event and what it led to.
fn live<E>(
    mut state: State,
    now: &mut BootTime,
    life: Vec<(Event, u64)>,
    mut look: impl FnMut(&State, &Event, &State, &[Action]) -> Result<(), E>,
) -> Result<State, E> {
    for (event, pause) in life {
        *now = *now + Duration::from_secs(pause);
        let (next, actions) = decide(state.clone(), event.clone(), *now);
        look(&state, &event, &next, &actions)?;
        state = next;
    }
    Ok(state)
}

fn lived(life: Vec<(Event, u64)>, now: &mut BootTime) -> State {
    let Ok(state) = live(State::Fresh, now, life, |_, _, _, _| Ok::<(), std::convert::Infallible>(()));
    state
}

proptest! {
    /// R12, R17: once the row says `offline` no later event opens a connection.
    #[test]
    fn an_intentional_stop_never_reconnects(before in any_life(), after in any_life()) {
        let mut now = NOW;
        let state = lived(before, &mut now);
        let offline = Event::Row(Facts { wanted: Wanted::Offline, ..facts(Status::Unpaired, false) });
        let state = decide(state, offline, now).0;
        live(state, &mut now, after, |_, _, _, actions| {
            prop_assert!(!opens(actions));
            Ok(())
        })?;
    }

    /// R61: a session that is to give its account back opens nothing any more.
    #[test]
    fn a_released_session_never_reconnects(before in any_life(), after in any_life()) {
        let mut now = NOW;
        let state = lived(before, &mut now);
        let state = decide(state, Event::Release, now).0;
        live(state, &mut now, after, |_, _, _, actions| {
            prop_assert!(!opens(actions));
            Ok(())
        })?;
    }

    /// R02: after `Fenced` nothing is written and nothing opened, whatever follows.
    #[test]
    fn a_fenced_session_writes_nothing(before in any_life(), after in any_life()) {
        let mut now = NOW;
        let state = lived(before, &mut now);
        let state = decide(state, Event::Fenced, now).0;
        live(state, &mut now, after, |_, _, _, actions| {
            prop_assert!(!opens(actions) && !writes(actions));
            Ok(())
        })?;
    }

    /// R26: once a phone has accepted, 515 never ends the pairing: it opens again, or what was asked for before goes on.
    #[test]
    fn a_restart_required_never_ends_a_pairing(before in any_life()) {
        let mut now = NOW;
        let state = lived(before, &mut now);
        let first = matches!(
            state,
            State::Accepted { .. } | State::Linking { .. } | State::Opening { purpose: Purpose::FirstLogin, .. }
        );
        let (next, actions) = decide(state, Event::Closed(CloseReason::RestartRequired), now);
        if first {
            let again = matches!(
                next,
                State::Opening { purpose: Purpose::FirstLogin, .. } | State::Backoff { purpose: Purpose::FirstLogin, .. }
            );
            prop_assert!(again);
            let ends = actions.iter().any(|action| matches!(action, Action::GiveUp(_) | Action::Scrub | Action::Status { .. }));
            prop_assert!(!ends);
        }
    }

    /// R18: a first pairing opens one connection, and no second one before a phone has accepted, but where WhatsApp asks for it.
    #[test]
    fn a_first_pairing_never_loops(after in any_life()) {
        let (state, actions) = decide(State::Fresh, Event::Row(facts(Status::Pending, false)), NOW);
        prop_assert!(opens(&actions));
        let unaccepted = after
            .into_iter()
            .filter(|(event, _)| {
                !matches!(
                    event,
                    Event::Accepted { .. } | Event::Connected(_) | Event::Closed(CloseReason::RestartRequired)
                )
            })
            .collect();
        live(state, &mut NOW.clone(), unaccepted, |_, _, _, actions| {
            prop_assert!(!opens(actions));
            Ok(())
        })?;
    }

    /// R02: after `replaced` no connection is opened before the row has been read again under the epoch.
    #[test]
    fn replaced_never_reconnects_unchecked(before in any_life(), after in any_life()) {
        let mut now = NOW;
        let state = lived(before, &mut now);
        // where nothing is open, there is nothing to be replaced
        if matches!(state, State::Fresh | State::Backoff { .. }) {
            return Ok(());
        }
        let (state, actions) = decide(state, Event::Closed(CloseReason::Replaced), now);
        prop_assert!(!opens(&actions));
        let unchecked = after.into_iter().filter(|(event, _)| !matches!(event, Event::Row(_))).collect();
        live(state, &mut now, unchecked, |_, _, _, actions| {
            prop_assert!(!opens(actions));
            Ok(())
        })?;
    }

    /// A logged-out device is never opened again, and its credentials go with its status.
    #[test]
    fn logged_out_is_the_end(before in any_life(), after in any_life()) {
        let mut now = NOW;
        let state = lived(before, &mut now);
        let live_one = matches!(
            state,
            State::Online { .. } | State::Linking { .. } | State::Accepted { .. }
                | State::Opening { purpose: Purpose::Resume | Purpose::FirstLogin, .. }
        );
        let (state, actions) = decide(state, Event::Closed(CloseReason::LoggedOut { reason: "x".into() }), now);
        if live_one {
            let written =
                matches!(actions.as_slice(), [Action::Status { status: Status::LoggedOut, .. }, Action::Scrub]);
            prop_assert!(written);
            live(state, &mut now, after, |_, _, next, actions| {
                let over = matches!(next, State::Ended(_));
                prop_assert!(!opens(actions) && over);
                Ok(())
            })?;
        }
    }

    /// Only a connection that has ended, or was never there, is followed by another one.
    #[test]
    fn never_two_connections(life in any_life()) {
        live(State::Fresh, &mut NOW.clone(), life, |before, event, _, actions| {
            let ended = matches!(event, Event::Closed(_))
                || matches!(before, State::Fresh | State::Backoff { .. } | State::Rechecking { .. })
                // taken for closed; whoever opens drops the old link first
                || matches!((before, event), (State::Closing { .. }, Event::Tick));
            prop_assert!(ended || !opens(actions), "{before:?} + {event:?}");
            Ok(())
        })?;
    }
}
