//! Pure. The machine's rules from the request to pair until a phone accepts.

use std::time::Duration;

use domain::account::Status;
use process::clock::BootTime;
use process::telemetry::metrics::labels::PairingStep;

use super::action::Action;
use super::event::Passkey;
use super::state::{After, Attempt, End, Purpose, State};
use super::steps::{ANSWER, closing, status};

/// The reason of a pairing that began after its window had ended.
pub(super) const WINDOW_OVER: &str = "the pairing window is over";
/// The reason of a pairing that no phone answered.
pub(super) const NOT_SCANNED: &str = "nobody scanned a code in time";

pub(super) fn show(state: State, code: String, lifetime: Duration, now: BootTime) -> (State, Vec<Action>) {
    let (attempt, shown, tries) = match state {
        State::Opening { purpose: Purpose::Pair(attempt), tries, .. } => (attempt, 0, tries),
        State::Pairing { attempt, shown, tries } => (attempt, shown, tries),
        // a code instead of a login: the stored credentials were never linked
        State::Opening { purpose: Purpose::FirstLogin, .. } => {
            return give_up(false, "the link was lost before it was stored", now);
        }
        State::Opening { purpose: Purpose::Resume, .. } => {
            let lost = status(Status::LoggedOut, "its credentials are gone: pair it again");
            return closing(After::End(End::Settled), vec![Action::Close, lost, Action::Scrub], now);
        }
        State::Opening { purpose: Purpose::LogOut { end }, .. } => {
            return closing(After::End(end), vec![Action::Close], now);
        }
        State::Fresh
        | State::Accepted { .. }
        | State::Linking { .. }
        | State::Online { .. }
        | State::Finishing { .. }
        | State::Backoff { .. }
        | State::Rechecking { .. }
        | State::LoggingOut { .. }
        | State::Closing { .. }
        | State::Ended(_) => return (state, vec![]),
    };
    let number = shown + 1;
    let action = match &attempt.code_for {
        None => vec![Action::ShowQr { code, number, lifetime }],
        Some(phone) if shown == 0 => vec![Action::AskCode { phone: phone.clone() }],
        Some(_) => vec![],
    };
    (State::Pairing { attempt, shown: number, tries }, action)
}

pub(super) fn code_stale(state: State) -> (State, Vec<Action>) {
    if let State::Pairing { attempt: Attempt { code_for: Some(phone), .. }, .. } = &state {
        let phone = phone.clone();
        return (state, vec![Action::AskCode { phone }]);
    }
    (state, vec![])
}

/// WhatsApp asks for a passkey. From now on the pairing waits for that.
pub(super) fn advise(state: State, advice: Passkey) -> (State, Vec<Action>) {
    let gated = |attempt| Attempt { gated: true, ..attempt };
    let state = match state {
        State::Pairing { attempt, shown, tries } => State::Pairing { attempt: gated(attempt), shown, tries },
        State::Opening { purpose: Purpose::Pair(attempt), tries, until } => {
            State::Opening { purpose: Purpose::Pair(gated(attempt)), tries, until }
        }
        // a phone has accepted already; the request is still passed on
        State::Accepted { until } => State::Accepted { until },
        State::Fresh
        | State::Opening { .. }
        | State::Linking { .. }
        | State::Online { .. }
        | State::Finishing { .. }
        | State::Backoff { .. }
        | State::Rechecking { .. }
        | State::LoggingOut { .. }
        | State::Closing { .. }
        | State::Ended(_) => return (state, vec![]),
    };
    (state, vec![Action::Advise(advice)])
}

pub(super) fn accepted(state: State, jid: String, now: BootTime) -> (State, Vec<Action>) {
    match state {
        State::Pairing { .. } | State::Opening { purpose: Purpose::Pair(_), .. } => {
            (State::Accepted { until: now + ANSWER }, vec![Action::Accept { jid }])
        }
        State::Closing { .. } | State::Ended(_) | State::Accepted { .. } => (state, vec![]),
        State::Fresh
        | State::Opening { .. }
        | State::Linking { .. }
        | State::Online { .. }
        | State::Finishing { .. }
        | State::Backoff { .. }
        | State::Rechecking { .. }
        | State::LoggingOut { .. } => (state, vec![Action::Unexpected("accepted by a phone while not pairing")]),
    }
}

/// A phone tried to link the device and failed, or WhatsApp did not accept the passkey answer. A client gets one try.
pub(super) fn pair_failed(state: State, reason: &str, now: BootTime) -> (State, Vec<Action>) {
    match state {
        State::Pairing { attempt, .. } | State::Opening { purpose: Purpose::Pair(attempt), .. } => {
            give_up(attempt.gated, reason, now)
        }
        state => (state, vec![]),
    }
}

/// Ends the attempt, whose connection is still open.
pub(super) fn give_up(gated: bool, reason: &str, now: BootTime) -> (State, Vec<Action>) {
    closing(After::End(End::Settled), vec![Action::Close, given_up(gated, reason)], now)
}

/// The action that ends a pairing without a link. If WhatsApp has asked for a passkey, the reason says so, because then
/// the scan itself succeeded.
pub(super) fn given_up(gated: bool, reason: &str) -> Action {
    let step = if reason == NOT_SCANNED || reason == WINDOW_OVER { PairingStep::Timeout } else { PairingStep::Failed };
    let reason = if gated {
        format!("WhatsApp asked for a passkey, and the pairing ended there: {reason}")
    } else {
        reason.to_owned()
    };
    Action::GiveUp { reason, step }
}
