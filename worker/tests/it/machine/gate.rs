//! WhatsApp's passkey gate, between a scan and the acceptance by the phone.

use super::*;

fn asks() -> Event {
    Event::Advice(Passkey::Present("{}".into()))
}

/// The reason that is given, and the step that is counted, for a pairing that ends with these actions.
fn told(actions: &[Action]) -> Option<(&str, PairingStep)> {
    actions.iter().find_map(|action| match action {
        Action::GiveUp { reason, step } => Some((reason.as_str(), *step)),
        _ => None,
    })
}

/// R26: a demand of the gate is passed on, before the first code and after it. The attempt is at the gate from then on.
#[test]
fn a_gate_is_passed_on_and_remembered() {
    let advised = vec![Action::Advise(Passkey::Present("{}".into()))];
    let at_gate = State::Pairing { attempt: gated(), shown: 1, tries: 0 };
    assert_eq!(decide(pairing(), asks(), NOW), (at_gate.clone(), advised.clone()));
    assert_eq!(decide(opening(pair()), asks(), NOW), (opening(Purpose::Pair(gated())), advised.clone()));
    // a phone has accepted, so the gate is passed
    assert_eq!(decide(accepted(), asks(), NOW), (accepted(), advised));
    assert_eq!(decide(online(), asks(), NOW), (online(), vec![]));
    // a new connection of the same attempt is still at the gate
    let (state, _) = decide(at_gate, Event::Closed(CloseReason::RestartRequired), NOW);
    assert_eq!(state, State::Opening { purpose: Purpose::Pair(gated()), tries: 1, until: None });
}

/// R26: a pairing that ends at the gate says so, however it ends, because its owner should not look for a missing scan.
/// The end itself is what is counted.
#[test]
fn a_pairing_that_ends_at_the_gate_says_so() {
    let ends = [
        (Event::PairFailed("no".into()), NOW, "no", PairingStep::Failed),
        (Event::Closed(CloseReason::PairingExpired), NOW, "nobody scanned a code in time", PairingStep::Timeout),
        (Event::Tick, NOW + WINDOW, "nobody scanned a code in time", PairingStep::Timeout),
        (Event::Closed(CloseReason::Outdated), NOW, "WhatsApp wants a newer client version", PairingStep::Failed),
    ];
    for (event, at, words, counted) in ends {
        let (_, actions) = decide(pairing(), event.clone(), at);
        assert_eq!(told(&actions), Some((words, counted)));
        let (state, _) = decide(pairing(), asks(), NOW);
        let (_, actions) = decide(state, event, at);
        let words = format!("WhatsApp asked for a passkey, and the pairing ended there: {words}");
        assert_eq!(told(&actions), Some((words.as_str(), counted)));
    }
}

/// R26: the owner's answer is taken while a phone is to accept, and otherwise left in the row.
#[test]
fn an_answer_is_taken_during_a_pairing() {
    let answered = || Event::Row(Facts { passkey_answered: true, ..facts(Status::Pending, false) });
    let mut takes = 0;
    for state in every_state() {
        let pairs = matches!(
            state,
            State::Pairing { .. } | State::Accepted { .. } | State::Opening { purpose: Purpose::Pair(_), .. }
        );
        let (next, actions) = decide(state.clone(), answered(), NOW);
        assert_eq!(actions.contains(&Action::AnswerPasskey), pairs, "{state:?}");
        assert!(!pairs || (next == state && actions.len() == 1), "{state:?}");
        takes += usize::from(pairs);
    }
    assert!(takes >= 4, "{takes}");
}
