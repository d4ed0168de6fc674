//! What holds for any sequence of events, at any pace, from any state. proptest prints the seed of a failure, and the
//! shortest sequence. Each property counts the meaningful cases: those in which the forbidden thing could have
//! happened.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

/// Events, each with the seconds after the one before.
type Life = Vec<(Event, u64)>;

/// There are many kinds of rows, and few events end a session for good. So each kind of event gets its share.
fn any_event() -> impl Strategy<Value = Event> {
    let (mut ends, mut closes, mut online, mut others) = (vec![], vec![], vec![], vec![]);
    for event in every_event() {
        let kind = match &event {
            Event::Row(row) if row.wanted == Wanted::Online => &mut online,
            Event::Row(_) | Event::Release | Event::Lost(Loss::Fenced) => &mut ends,
            Event::Closed(_) => &mut closes,
            _ => &mut others,
        };
        kind.push(event);
    }
    prop_oneof![
        8 => proptest::sample::select(others),
        6 => Just(Event::Tick),
        5 => proptest::sample::select(closes),
        3 => proptest::sample::select(online),
        1 => proptest::sample::select(ends),
    ]
}

fn any_life() -> impl Strategy<Value = Life> {
    proptest::collection::vec((any_event(), 0_u64..90), 0..24)
}

/// A state for which `fits` holds, and its time. It is sampled, and changed by events that keep `fits` true.
fn any_state(fits: fn(&State) -> bool) -> impl Strategy<Value = (State, BootTime)> {
    let states: Vec<State> = every_state().into_iter().filter(fits).collect();
    (proptest::sample::select(states), any_life()).prop_map(move |(mut state, life)| {
        let mut now = NOW;
        for (event, pause) in life {
            let then = now + Duration::from_secs(pause);
            let next = decide(state.clone(), event, then).0;
            if fits(&next) {
                (state, now) = (next, then);
            }
        }
        (state, now)
    })
}

/// It may still open a connection. The table has what follows from an end that has begun.
fn going_on(state: &State) -> bool {
    !matches!(
        state,
        State::Ended(_)
            | State::Finishing { .. }
            | State::LoggingOut { .. }
            | State::Closing { then: After::End(_), .. }
    )
}

/// It has a connection that another one may replace.
fn connected(state: &State) -> bool {
    going_on(state) && !matches!(state, State::Fresh | State::Backoff { .. } | State::Rechecking { .. })
}

/// A phone has accepted, but the first login has not happened yet.
fn accepted_by_a_phone(state: &State) -> bool {
    matches!(
        state,
        State::Accepted { .. }
            | State::Linking { .. }
            | State::Opening { purpose: Purpose::FirstLogin, .. }
            | State::Closing { then: After::Reopen { purpose: Purpose::FirstLogin, .. }, .. }
    )
}

/// WhatsApp may report that its device is logged out.
fn linked(state: &State) -> bool {
    matches!(
        state,
        State::Online { .. }
            | State::Linking { .. }
            | State::Accepted { .. }
            | State::Opening { purpose: Purpose::Resume | Purpose::FirstLogin, .. }
    )
}

/// Applies the events to a state. Calls `look` with each event and its result.
fn live<E>(
    (mut state, mut now): (State, BootTime),
    life: Life,
    mut look: impl FnMut(&State, &Event, &State, &[Action]) -> Result<(), E>,
) -> Result<(), E> {
    for (event, pause) in life {
        now = now + Duration::from_secs(pause);
        let (next, actions) = decide(state.clone(), event.clone(), now);
        look(&state, &event, &next, &actions)?;
        state = next;
    }
    Ok(())
}

/// Whether these events cause an action of this kind.
fn does(from: (State, BootTime), life: &Life, what: impl Fn(&[Action]) -> bool) -> bool {
    live(from, life.clone(), |_, _, _, actions| if what(actions) { Err(()) } else { Ok(()) }).is_err()
}

/// Checks a property in many cases. It returns whether a case was meaningful; this many of a hundred must be.
fn holds<S: Strategy>(at_least: u32, cases: S, property: impl Fn(S::Value) -> Result<bool, TestCaseError>) {
    let config = ProptestConfig::with_source_file(file!());
    let (all, telling) = (config.cases, Cell::new(0_u32));
    let mut runner = TestRunner::new(config);
    let found = runner.run(&cases, |case| {
        telling.set(telling.get() + u32::from(property(case)?));
        Ok(())
    });
    if let Err(error) = found {
        panic!("{error}\n{runner}");
    }
    println!("{} of {all} cases said something", telling.get());
    assert!(telling.get() * 100 >= all * at_least, "only {} of {all} cases said something", telling.get());
}

/// R12, R17: after the row says `offline`, no later event opens a connection.
#[test]
fn an_intentional_stop_never_reconnects() {
    holds(20, (any_state(going_on), any_life()), |((state, now), after)| {
        let otherwise = does((state.clone(), now), &after, opens);
        let offline = Event::Row(Facts { wanted: Wanted::Offline, ..facts(Status::Unpaired, false) });
        let (state, actions) = decide(state, offline, now);
        prop_assert!(!opens(&actions) && !does((state, now), &after, opens));
        Ok(otherwise)
    });
}

/// R61: a session that is to give its account back opens no connection any more.
#[test]
fn a_released_session_never_reconnects() {
    holds(20, (any_state(going_on), any_life()), |((state, now), after)| {
        let otherwise = does((state.clone(), now), &after, opens);
        let (state, actions) = decide(state, Event::Release, now);
        prop_assert!(!opens(&actions) && !does((state, now), &after, opens));
        Ok(otherwise)
    });
}

/// R02: after `Fenced` nothing is written and nothing opened, whatever follows.
#[test]
fn a_fenced_session_writes_nothing() {
    let acts = |actions: &[Action]| opens(actions) || writes(actions);
    holds(40, (any_state(going_on), any_life()), |((state, now), after)| {
        let otherwise = does((state.clone(), now), &after, acts);
        let (state, actions) = decide(state, Event::Lost(Loss::Fenced), now);
        prop_assert!(!acts(&actions) && !does((state, now), &after, acts));
        Ok(otherwise)
    });
}

/// R26: after a phone has accepted, 515 never ends the pairing. It opens again, at once or after a pause.
#[test]
fn a_restart_required_never_ends_a_pairing() {
    holds(100, any_state(accepted_by_a_phone), |(state, now)| {
        let (next, actions) = decide(state, Event::Closed(CloseReason::RestartRequired), now);
        let again = match &next {
            State::Opening { purpose: Purpose::FirstLogin, .. } => opens(&actions),
            State::Backoff { purpose: Purpose::FirstLogin, until, .. } => {
                opens(&decide(next.clone(), Event::Tick, *until).1)
            }
            _ => false,
        };
        prop_assert!(again, "{next:?}");
        let ends = |action: &Action| matches!(action, Action::GiveUp { .. } | Action::Scrub | Action::Status { .. });
        prop_assert!(!actions.iter().any(ends));
        Ok(true)
    });
}

/// R18: a first pairing opens one connection. It opens a second one before a phone has accepted only if WhatsApp asks
/// for it. A case is meaningful if that connection ends.
#[test]
fn a_first_pairing_never_loops() {
    let (first, actions) = decide(State::Fresh, Event::Row(facts(Status::Pending, false)), NOW);
    assert!(opens(&actions));
    holds(40, any_life(), |after| {
        let unaccepted = after
            .into_iter()
            .filter(|(event, _)| {
                !matches!(
                    event,
                    Event::Accepted { .. } | Event::Connected(_) | Event::Closed(CloseReason::RestartRequired)
                )
            })
            .collect();
        let mut ended = false;
        live((first.clone(), NOW), unaccepted, |before, event, _, actions| {
            ended |= matches!(event, Event::Closed(_)) && connected(before);
            prop_assert!(!opens(actions));
            Ok(())
        })?;
        Ok(ended)
    });
}

/// R02: after `replaced` a connection is opened only after the row has been read again under the epoch. After another
/// end, one would be opened.
#[test]
fn replaced_never_reconnects_unchecked() {
    holds(40, (any_state(connected), any_life()), |((state, now), after)| {
        let unchecked: Life = after.into_iter().filter(|(event, _)| !matches!(event, Event::Row(_))).collect();
        let (lost, actions) = decide(state.clone(), Event::Closed(dropped()), now);
        let otherwise = opens(&actions) || does((lost, now), &unchecked, opens);
        let (state, actions) = decide(state, Event::Closed(CloseReason::Replaced), now);
        let reopens = matches!(state, State::Opening { .. });
        prop_assert!(!reopens && !opens(&actions) && !does((state, now), &unchecked, opens));
        Ok(otherwise)
    });
}

/// A logged-out device is never opened again, and its credentials are removed with its status. After another end, it
/// would be opened.
#[test]
fn logged_out_is_the_end() {
    holds(40, (any_state(linked), any_life()), |((state, now), after)| {
        let (lost, actions) = decide(state.clone(), Event::Closed(dropped()), now);
        let otherwise = opens(&actions) || does((lost, now), &after, opens);
        let (state, actions) = decide(state, Event::Closed(CloseReason::LoggedOut { reason: "x".into() }), now);
        let left: Vec<_> = actions.into_iter().filter(|action| *action != Action::StopSending).collect();
        let written = matches!(left.as_slice(), [Action::Status { status: Status::LoggedOut, .. }, Action::Scrub]);
        prop_assert!(written && matches!(state, State::Ended(_)));
        live((state, now), after, |_, _, next, actions| {
            prop_assert!(!opens(actions) && matches!(next, State::Ended(_)));
            Ok(())
        })?;
        Ok(otherwise)
    });
}

/// A connection is only opened if the one before has ended or never existed. A case is meaningful if one is opened.
#[test]
fn never_two_connections() {
    holds(20, (any_state(going_on), any_life()), |(from, life)| {
        let mut opened = false;
        live(from, life, |before, event, _, actions| {
            let ended = matches!(event, Event::Closed(_))
                || matches!(before, State::Fresh | State::Backoff { .. } | State::Rechecking { .. })
                // treated as closed; opening drops the old link first
                || matches!((before, event), (State::Closing { .. }, Event::Tick));
            opened |= opens(actions);
            prop_assert!(ended || !opens(actions), "{before:?} + {event:?}");
            Ok(())
        })?;
        Ok(opened)
    });
}
