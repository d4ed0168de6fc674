//! Pure. The machine's rules for the end of a connection.

use std::time::Duration;

use domain::account::Status;
use process::clock::BootTime;
use process::telemetry::metrics::labels::{Loss, RestartCause};

use super::action::Action;
use super::pairing::{NOT_SCANNED, given_up};
use super::restart::{after, again, backoff, counted, told};
use super::state::{After, Attempt, End, Purpose, State};
use super::steps::{closing, finish, opening, status};
use crate::link::CloseReason;

/// How long an outdated client waits until a newer version is configured or fetched.
const AFTER_OUTDATED: Duration = Duration::from_secs(300);
/// How often a logout is tried before the account is removed or unlinked without it.
const LOGOUT_TRIES: u32 = 3;

/// Handles the end of a connection. A stale close is ignored, and one that we asked for is consumed. The close after a
/// scan is a step of pairing. What follows any other close depends on the state.
pub(super) fn closed(state: State, reason: CloseReason, now: BootTime) -> (State, Vec<Action>) {
    match state {
        State::Ended(_) => (state, vec![]),
        // nothing may be written any more, whatever was planned
        _ if reason == CloseReason::Fenced => (State::Ended(End::Lost(Loss::Fenced)), vec![]),
        // another connection took over before we closed: check lease and epoch first
        State::Closing { then: After::Reopen { tries, .. }, .. } if reason == CloseReason::Replaced => {
            (State::Rechecking { tries }, vec![Action::Recheck])
        }
        State::Closing { then, .. } => after(then, now),
        // the account is given back all the same; its next owner handles the cause
        State::Finishing { .. } => (State::Ended(End::Released), vec![]),
        // the logout call reports its own end
        State::LoggingOut { .. } => (state, vec![]),
        // this worker cannot read the record: it gives the account back unchanged, and stops
        _ if matches!(reason, CloseReason::UnknownKey(_)) => (State::Ended(End::Released), vec![]),
        State::Fresh | State::Backoff { .. } | State::Rechecking { .. } => (state, vec![]),
        State::Pairing { attempt, tries, .. } | State::Opening { purpose: Purpose::Pair(attempt), tries, .. } => {
            pairing_closed(&reason, attempt, tries, now)
        }
        State::Accepted { .. } => accepted_closed(&reason, now),
        State::Opening { purpose: Purpose::LogOut { end }, tries, .. } => logout_closed(&reason, end, tries, now),
        State::Opening { purpose: Purpose::FirstLogin, tries, .. } => {
            live_closed(reason, Purpose::FirstLogin, tries, backoff(tries + 1), now)
        }
        State::Opening { purpose: Purpose::Resume, tries, .. } => {
            live_closed(reason, Purpose::Resume, tries, backoff(tries + 1), now)
        }
        State::Linking { tries } => live_closed(reason, Purpose::FirstLogin, tries, backoff(tries + 1), now),
        State::Online { since, tries, .. } => {
            let before = counted(since, tries, now);
            // a line that was in use and drops is dialled again at once, the first time
            let redial = if matches!(reason, CloseReason::Dropped(_)) { backoff(before) } else { backoff(before + 1) };
            live_closed(reason, Purpose::Resume, before, redial, now)
        }
    }
}

/// A close before a phone accepted the device ends the attempt, and no new one starts by itself. The exception is
/// WhatsApp's request for a new connection (515): then the attempt goes on until its window ends, and the first new
/// connection is made at once.
fn pairing_closed(reason: &CloseReason, attempt: Attempt, before: u32, now: BootTime) -> (State, Vec<Action>) {
    let why = match reason {
        CloseReason::RestartRequired if now + backoff(before) < attempt.until => {
            let (state, mut open) = again(Purpose::Pair(attempt), backoff(before), before + 1, now);
            let mut actions = vec![Action::Restart { cause: reason.word().into() }];
            actions.append(&mut open);
            return (state, actions);
        }
        CloseReason::Fenced => return (State::Ended(End::Lost(Loss::Fenced)), vec![]),
        CloseReason::UnknownKey(_) => return (State::Ended(End::Released), vec![]),
        CloseReason::PairingExpired => NOT_SCANNED.to_owned(),
        CloseReason::LoggedOut { reason } => format!("WhatsApp refused the pairing: {reason}"),
        CloseReason::Outdated => "WhatsApp wants a newer client version".to_owned(),
        CloseReason::Refused { code } => format!("WhatsApp refused the connection (code {code})"),
        CloseReason::Banned { code, .. } => format!("WhatsApp has banned this address for a while (code {code})"),
        CloseReason::Dropped(_) | CloseReason::RestartRequired | CloseReason::Replaced | CloseReason::Requested => {
            "the connection to WhatsApp was lost before a phone accepted".to_owned()
        }
    };
    (State::Ended(End::Settled), vec![given_up(attempt.gated, &why)])
}

/// A close between a phone's acceptance and the first login. Unless the device was logged out or replaced, the
/// credentials are still good and the next login decides. A second, stale close finds `Opening` and counts as a failed
/// try at most.
fn accepted_closed(reason: &CloseReason, now: BootTime) -> (State, Vec<Action>) {
    match reason {
        CloseReason::Fenced => (State::Ended(End::Lost(Loss::Fenced)), vec![]),
        CloseReason::UnknownKey(_) => (State::Ended(End::Released), vec![]),
        CloseReason::LoggedOut { .. } | CloseReason::Replaced => {
            live_closed(reason.clone(), Purpose::FirstLogin, 0, backoff(1), now)
        }
        CloseReason::RestartRequired
        | CloseReason::Dropped(_)
        | CloseReason::Requested
        | CloseReason::Banned { .. }
        | CloseReason::Outdated
        | CloseReason::Refused { .. }
        | CloseReason::PairingExpired => opening(Purpose::FirstLogin, 0),
    }
}

fn logout_closed(reason: &CloseReason, end: End, tries: u32, now: BootTime) -> (State, Vec<Action>) {
    match reason {
        CloseReason::Fenced => (State::Ended(End::Lost(Loss::Fenced)), vec![]),
        CloseReason::UnknownKey(_) => (State::Ended(End::Released), vec![]),
        CloseReason::RestartRequired
        | CloseReason::Dropped(_)
        | CloseReason::Requested
        | CloseReason::Refused { .. }
            if tries + 1 < LOGOUT_TRIES =>
        {
            again(Purpose::LogOut { end }, backoff(tries + 1), tries + 1, now)
        }
        // the device is gone already
        CloseReason::LoggedOut { .. } => (State::Ended(end), finish(end, true)),
        // a failed logout never blocks the removal or the unlinking
        CloseReason::RestartRequired
        | CloseReason::Dropped(_)
        | CloseReason::Requested
        | CloseReason::Refused { .. }
        | CloseReason::Banned { .. }
        | CloseReason::Outdated
        | CloseReason::Replaced
        | CloseReason::PairingExpired => (State::Ended(end), finish(end, false)),
    }
}

/// `before`: the restarts in a row before this close. `redial`: the pause before the next connection if the line was
/// lost.
fn live_closed(
    reason: CloseReason,
    purpose: Purpose,
    before: u32,
    redial: Duration,
    now: BootTime,
) -> (State, Vec<Action>) {
    let (cause, tries) = (reason.word().into(), before + 1);
    let (pause, words) = match reason {
        CloseReason::Fenced => return (State::Ended(End::Lost(Loss::Fenced)), vec![]),
        CloseReason::UnknownKey(_) => return (State::Ended(End::Released), vec![]),
        CloseReason::LoggedOut { reason } => {
            return (State::Ended(End::Settled), vec![status(Status::LoggedOut, &reason), Action::Scrub]);
        }
        CloseReason::Replaced => {
            let mut actions = told(&purpose, cause, tries, "another connection with the same credentials took over");
            actions.push(Action::Recheck);
            return (State::Rechecking { tries }, actions);
        }
        CloseReason::Banned { code, expires_in } => {
            let banned = Action::Status {
                status: Status::Banned,
                reason: Some(format!("WhatsApp banned the account for a while (code {code})")),
                banned_for: Some(expires_in),
            };
            return (State::Backoff { until: now + expires_in, purpose, tries: 0 }, vec![banned]);
        }
        CloseReason::Outdated => (AFTER_OUTDATED, "WhatsApp wants a newer client version".to_owned()),
        // the first request is followed at once
        CloseReason::RestartRequired => (backoff(before), "WhatsApp asked for a new connection".to_owned()),
        CloseReason::Refused { code } => (backoff(tries), format!("WhatsApp refused the connection (code {code})")),
        CloseReason::Dropped(_) | CloseReason::Requested | CloseReason::PairingExpired => {
            (redial, "the connection to WhatsApp was lost".to_owned())
        }
    };
    let mut actions = told(&purpose, cause, tries, &words);
    let (state, mut open) = again(purpose, pause, tries, now);
    actions.append(&mut open);
    (state, actions)
}

/// Closes a connection that is not established in time or has gone silent. It is still open, so a new one has to wait
/// for its close.
pub(super) fn unanswered(cause: RestartCause, purpose: Purpose, before: u32, now: BootTime) -> (State, Vec<Action>) {
    let tries = before + 1;
    if let Purpose::LogOut { end } = purpose
        && tries >= LOGOUT_TRIES
    {
        return closing(After::End(end), vec![Action::Close], now);
    }
    let mut actions = vec![Action::Close];
    actions.append(&mut told(&purpose, cause, tries, "WhatsApp did not answer: connecting anew"));
    closing(After::Reopen { purpose, tries }, actions, now)
}
