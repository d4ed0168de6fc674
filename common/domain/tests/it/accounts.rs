//! The life of an account: a table of every pair of state and event.

use domain::account::Status::{self, Banned, Connected, Disconnected, LoggedOut, Pending, Unpaired};
use domain::account::life::Wanted::{self, Erased, Offline, Online, Unlinked};
use domain::account::life::{Event, State, Step, decide, wanted_after};
use domain::conflict::Conflict;

/// Every state.
pub(crate) fn states() -> impl Iterator<Item = State> {
    Status::ALL.into_iter().flat_map(|status| Wanted::ALL.map(|wanted| State { status, wanted }))
}

/// What requests, duties and the steps of a pairing tell, in words.
pub(crate) const EVENTS: [(&str, Event); 13] = [
    ("pair", Event::Pair),
    ("unpair", Event::Unpair),
    ("log out", Event::LogOut { linked: true }),
    ("log out where nothing is linked", Event::LogOut { linked: false }),
    ("delete", Event::Delete { stored: true }),
    ("delete where nothing is stored", Event::Delete { stored: false }),
    ("the logout is over", Event::LogOutOver),
    ("the delete is over", Event::DeleteOver),
    ("linked", Event::Linked),
    ("a duplicate", Event::Duplicate),
    ("the pairing is given up", Event::GivenUp),
    ("the pairing is abandoned", Event::Abandoned),
    ("its worker fell silent", Event::Lost),
];

fn becomes(status: Status, wanted: Wanted) -> Result<Step, Conflict> {
    Ok(Step::Becomes(State { status, wanted }))
}

/// What each event makes of a state that is hidden from nobody; of `online`, `offline` and `unlinked` in this order.
fn expected(status: Status, event: &str) -> [Result<Step, Conflict>; 3] {
    let every = |step: Result<Step, Conflict>| [step.clone(), step.clone(), step];
    let same_wish = |status| [Online, Offline, Unlinked].map(|wanted| becomes(status, wanted));
    let rests = [becomes(Unpaired, Offline), becomes(Unpaired, Offline), becomes(Unpaired, Unlinked)];
    let nothing = || every(Ok(Step::Stays));
    match (event, status) {
        ("pair", Connected) => every(Err(Conflict::AlreadyConnected)),
        ("pair", _) => every(becomes(Pending, Online)),
        ("unpair" | "log out where nothing is linked", _) | ("the pairing is abandoned", Pending) => {
            every(becomes(Unpaired, Offline))
        }
        ("log out", _) => every(becomes(status, Unlinked)),
        ("delete", _) => every(becomes(status, Erased)),
        ("delete where nothing is stored", _) => every(Ok(Step::Gone)),
        ("the logout is over", _) => [Ok(Step::Stays), Ok(Step::Stays), becomes(Unpaired, Offline)],
        ("linked", Unpaired | LoggedOut) => nothing(),
        ("linked", _) => same_wish(Connected),
        ("a duplicate", _) | ("the pairing is given up", Pending) => rests,
        ("its worker fell silent", Connected) => same_wish(Disconnected),
        (
            "the delete is over" | "the pairing is given up" | "the pairing is abandoned" | "its worker fell silent",
            _,
        ) => nothing(),
        _ => unreachable!("{event}"),
    }
}

/// R11, R12, R14, R20, R29, R90, R91: every state with every event.
#[test]
fn every_pair_of_account_and_event() {
    for (name, event) in EVENTS {
        for status in Status::ALL {
            for (wanted, step) in [Online, Offline, Unlinked].into_iter().zip(expected(status, name)) {
                assert_eq!(decide(State { status, wanted }, event), step, "{status:?}, {wanted:?}, {name}");
            }
        }
    }
}

/// R14: an account that is being removed is hidden from requests and stays so, whatever its session tells, until its device was
/// logged out.
#[test]
fn what_is_being_removed_stays_so() {
    for status in Status::ALL {
        for (name, event) in EVENTS {
            let expected = match name {
                "delete where nothing is stored" | "the delete is over" => Step::Gone,
                "linked" if matches!(status, Unpaired | LoggedOut) => Step::Stays,
                "linked" => Step::Becomes(State { status: Connected, wanted: Erased }),
                "a duplicate" => Step::Becomes(State { status: Unpaired, wanted: Erased }),
                "the pairing is given up" if status == Pending => {
                    Step::Becomes(State { status: Unpaired, wanted: Erased })
                }
                "its worker fell silent" if status == Connected => {
                    Step::Becomes(State { status: Disconnected, wanted: Erased })
                }
                _ => Step::Stays,
            };
            assert_eq!(decide(State { status, wanted: Erased }, event), Ok(expected), "{status:?}, {name}");
        }
    }
}

/// R18: what its session says is what the account is. The wish to be online ends with the phone; other wishes stay.
#[test]
fn a_session_says_what_its_account_is() {
    for state in states() {
        for status in [Unpaired, Connected, Disconnected, LoggedOut, Banned] {
            let phone_is_gone = matches!(status, Unpaired | LoggedOut);
            let wanted = if phone_is_gone && state.wanted == Online { Offline } else { state.wanted };
            assert_eq!(decide(state, Event::Reported(status)), becomes(status, wanted), "{state:?}, {status:?}");
            assert_eq!(wanted_after(status, state.wanted), wanted);
        }
        assert_eq!(decide(state, Event::Reported(Pending)), Ok(Step::Stays), "only a request makes it that");
    }
}

/// R27: asked for twice, a pairing starts over, and everything else is as it was after the first time.
#[test]
fn what_is_asked_for_twice_is_done_once() {
    for state in states() {
        for (name, event) in EVENTS {
            if let Ok(Step::Becomes(after)) = decide(state, event) {
                let again = decide(after, event);
                assert!(matches!(again, Ok(Step::Stays)) || again == Ok(Step::Becomes(after)), "{state:?}, {name}");
            }
        }
    }
}

/// A wish is spelled alike in rows and in code.
#[test]
fn a_wish_is_one_word() {
    for wanted in Wanted::ALL {
        assert_eq!(serde_json::to_value(wanted).ok(), Some(serde_json::Value::from(wanted.as_str())));
    }
}
