//! Pure. The state machine of a session: `decide(state, event, now) -> (state, actions)`.
//!
//! It holds every rule of an account's live life, and uses no clock, store or socket. A session never sees events of
//! another generation: each generation has an epoch of its own, and each epoch a session of its own. A stop that we
//! asked for is a state (`Closing`), not a flag: that state consumes the close event once, writes no status and opens
//! nothing.

use std::time::Duration;

use domain::account::Status;
use process::clock::BootTime;
use process::telemetry::metrics::labels::RestartCause;

use self::action::Action;
use self::close::{closed, unanswered};
use self::event::{Event, Facts, Wanted, Who};
use self::online::{blamed, groups_changed, groups_read, idle, linked, online, seen, stale, waits};
use self::pairing::{NOT_SCANNED, WINDOW_OVER, accepted, advise, code_stale, give_up, given_up, pair_failed, show};
use self::restart::{UNSTABLE, after, again, backoff, unstable};
use self::state::{After, Attempt, End, Purpose, State};
use self::steps::{ANSWER, closing, finish, logging_out, opening, status};

pub mod action;
mod close;
pub mod event;
mod online;
mod pairing;
pub mod restart;
pub mod state;
mod steps;

/// How long a session that is given back waits for the acknowledgements of messages in flight.
const FINISHING: Duration = Duration::from_secs(3);
/// The shortest wait before connecting again after another connection took over (`replaced`).
const AFTER_REPLACED: Duration = Duration::from_secs(5);

/// Decides what follows from an event. On the way into a state that sends, sending starts last; on the way out, it
/// stops first.
#[must_use]
pub fn decide(state: State, event: Event, now: BootTime) -> (State, Vec<Action>) {
    let before = state.sends();
    let (state, mut actions) = follow(state, event, now);
    match (before, state.sends()) {
        (false, true) => actions.push(Action::StartSending),
        (true, false) => actions.insert(0, Action::StopSending),
        (true, true) | (false, false) => {}
    }
    (state, actions)
}

/// What follows from an event, before sending is started or stopped.
fn follow(state: State, event: Event, now: BootTime) -> (State, Vec<Action>) {
    match event {
        Event::Row(facts) => row(state, facts, now),
        Event::Tick => tick(state, now),
        Event::Opened => opened(state, now),
        Event::Code { code, lifetime } => show(state, code, lifetime, now),
        Event::CodeStale => code_stale(state),
        Event::Advice(advice) => advise(state, advice),
        Event::Accepted { jid } => accepted(state, jid, now),
        Event::PairFailed(reason) => pair_failed(state, &reason, now),
        Event::Connected(who) => connected(state, who, now),
        Event::Linked(other) => linked(state, other, now),
        Event::LoggedOut { confirmed } => logged_out(state, confirmed),
        Event::Waits(oldest) => waits(state, oldest, now),
        Event::Stale(suspect) => stale(state, suspect, now),
        Event::Blamed { message, attempts, times } => blamed(state, message, attempts, times),
        Event::Idle => idle(state, now),
        Event::GroupsChanged => groups_changed(state),
        Event::GroupsRead => groups_read(state),
        Event::Closed(reason) => closed(state, reason, now),
        Event::Release => stop(state, End::Released, Action::Close, now),
        Event::Lost(loss) => stop(state, End::Lost(loss), Action::Abort, now),
    }
}

/// Ends the session: at once if no connection is open, otherwise after it has closed.
fn stop(state: State, end: End, how: Action, now: BootTime) -> (State, Vec<Action>) {
    let lost = matches!(end, End::Lost(_));
    match state {
        State::Fresh | State::Backoff { .. } | State::Rechecking { .. } => (State::Ended(end), vec![]),
        // messages in flight are acknowledged and written first
        State::Online { .. } if end == End::Released => (State::Finishing { until: now + FINISHING }, vec![]),
        State::Finishing { .. } if end == End::Released => (state, vec![]),
        // a logout in progress has a time limit, and no other session would finish it
        State::LoggingOut { .. } if !lost => (state, vec![]),
        State::Opening { .. }
        | State::Pairing { .. }
        | State::Accepted { .. }
        | State::Linking { .. }
        | State::Online { .. }
        | State::Finishing { .. }
        | State::LoggingOut { .. } => closing(After::End(end), vec![how], now),
        // the first reason to close stands, except that after a lost right nothing more is written
        State::Closing { deadline, .. } if lost => (State::Closing { deadline, then: After::End(end) }, vec![how]),
        State::Closing { deadline, then: After::Reopen { .. } } => {
            (State::Closing { deadline, then: After::End(end) }, vec![])
        }
        State::Closing { then: After::End(_), .. } | State::Ended(_) => (state, vec![]),
    }
}

/// The connection was opened: from now on it must get an answer in time. If it was told to close while it was opening,
/// it is closed now.
fn opened(state: State, now: BootTime) -> (State, Vec<Action>) {
    match state {
        State::Opening { purpose, tries, .. } => (State::Opening { purpose, tries, until: Some(now + ANSWER) }, vec![]),
        State::Closing { then: After::End(End::Lost(_)), .. } => (state, vec![Action::Abort]),
        State::Closing { .. } => (state, vec![Action::Close]),
        State::Fresh
        | State::Pairing { .. }
        | State::Accepted { .. }
        | State::Linking { .. }
        | State::Online { .. }
        | State::Finishing { .. }
        | State::Backoff { .. }
        | State::Rechecking { .. }
        | State::LoggingOut { .. }
        | State::Ended(_) => (state, vec![]),
    }
}

fn row(state: State, facts: Facts, now: BootTime) -> (State, Vec<Action>) {
    match facts.wanted {
        // the writer of `offline` has also written the status; the session only ends
        Wanted::Offline => stop(state, End::Settled, Action::Close, now),
        Wanted::Unlinked => log_out(state, &facts, End::Unlinked, now),
        Wanted::Erased => log_out(state, &facts, End::Removed, now),
        Wanted::Online => match state {
            State::Fresh => start(facts, now),
            State::Rechecking { tries } => again(login(&facts), AFTER_REPLACED.max(backoff(tries)), tries, now),
            State::Online { since, tries, groups } => seen(since, tries, groups, &facts),
            State::Opening { purpose: Purpose::Pair(_), .. } | State::Pairing { .. } | State::Accepted { .. }
                if facts.passkey_answered =>
            {
                (state, vec![Action::AnswerPasskey])
            }
            State::Opening { .. }
            | State::Pairing { .. }
            | State::Accepted { .. }
            | State::Linking { .. }
            | State::Finishing { .. }
            | State::Backoff { .. }
            | State::LoggingOut { .. }
            | State::Closing { .. }
            | State::Ended(_) => (state, vec![]),
        },
    }
}

fn start(facts: Facts, now: BootTime) -> (State, Vec<Action>) {
    match (facts.status, facts.registered) {
        (Status::Pending, false) if facts.window_left.is_zero() => {
            (State::Ended(End::Settled), vec![given_up(false, WINDOW_OVER)])
        }
        (Status::Pending, false) => {
            let until = now + facts.window_left;
            opening(Purpose::Pair(Attempt { until, code_for: facts.code_for, gated: false }), 0)
        }
        // a new owner waits for the end of a ban as the old one did
        (Status::Banned, true) if !facts.banned_left.is_zero() => {
            (State::Backoff { until: now + facts.banned_left, purpose: login(&facts), tries: 0 }, vec![])
        }
        (Status::Pending | Status::Connected | Status::Disconnected | Status::Banned, true) => {
            opening(login(&facts), 0)
        }
        (Status::Connected | Status::Disconnected | Status::Banned, false) => {
            (State::Ended(End::Settled), vec![status(Status::LoggedOut, "its credentials are gone: pair it again")])
        }
        (Status::Unpaired | Status::LoggedOut, _) => (State::Ended(End::Settled), vec![]),
    }
}

/// The first login asks the duplicate guard. An account whose number is in the row has passed it.
fn login(facts: &Facts) -> Purpose {
    if facts.linked { Purpose::Resume } else { Purpose::FirstLogin }
}

/// Logs the device out on WhatsApp's side. The session then ends with `end`, which is [`End::Removed`] or
/// [`End::Unlinked`].
fn log_out(state: State, facts: &Facts, end: End, now: BootTime) -> (State, Vec<Action>) {
    match state {
        State::Fresh if facts.registered => opening(Purpose::LogOut { end }, 0),
        State::Fresh => (State::Ended(end), finish(end, false)),
        State::Online { .. } | State::Linking { .. } => logging_out(end, now),
        State::Opening { purpose: Purpose::Resume | Purpose::FirstLogin | Purpose::LogOut { .. }, until, .. } => {
            (State::Opening { purpose: Purpose::LogOut { end }, tries: 0, until }, vec![])
        }
        State::Backoff { purpose: Purpose::Resume | Purpose::FirstLogin, .. } | State::Rechecking { .. } => {
            opening(Purpose::LogOut { end }, 0)
        }
        State::Backoff { purpose: Purpose::Pair(_), .. } => (State::Ended(end), finish(end, false)),
        State::Backoff { purpose: Purpose::LogOut { .. }, until, tries } => {
            (State::Backoff { purpose: Purpose::LogOut { end }, until, tries }, vec![])
        }
        State::Closing { deadline, then: After::Reopen { .. } } => {
            let then = After::Reopen { purpose: Purpose::LogOut { end }, tries: 0 };
            (State::Closing { deadline, then }, vec![])
        }
        State::Pairing { .. } | State::Accepted { .. } | State::Opening { purpose: Purpose::Pair(_), .. } => {
            closing(After::End(end), vec![Action::Close], now)
        }
        // the account was to be unlinked and is now to be removed: the same logout serves both
        State::LoggingOut { end: End::Unlinked, until } => (State::LoggingOut { end, until }, vec![]),
        State::LoggingOut { .. }
        // its next owner logs it out
        | State::Finishing { .. }
        | State::Closing { .. }
        | State::Ended(_) => (state, vec![]),
    }
}

/// Handles a tick. A tick before the state's instant does nothing.
fn tick(state: State, now: BootTime) -> (State, Vec<Action>) {
    if state.wakes_at().is_none_or(|at| now < at) {
        return (state, vec![]);
    }
    match state {
        State::Opening { purpose: Purpose::Pair(attempt), .. } if now < attempt.until => {
            give_up(attempt.gated, "WhatsApp did not answer", now)
        }
        State::Pairing { attempt, .. } | State::Opening { purpose: Purpose::Pair(attempt), .. } => {
            give_up(attempt.gated, NOT_SCANNED, now)
        }
        State::Opening { purpose, tries, .. } => unanswered(RestartCause::NoAnswer, purpose, tries, now),
        // the credentials are good: the next login decides, as after any other close
        State::Accepted { .. } => {
            closing(After::Reopen { purpose: Purpose::FirstLogin, tries: 0 }, vec![Action::Close], now)
        }
        State::Online { since, tries, groups } => {
            let steady = State::Online { since, tries: 0, groups };
            if tries < UNSTABLE {
                return (steady, vec![]);
            }
            let well = Action::Status { status: Status::Connected, reason: None, banned_for: None };
            (steady, vec![well, Action::Recovered { restarts: tries }])
        }
        State::Finishing { .. } => closing(After::End(End::Released), vec![Action::Close], now),
        State::Backoff { purpose, tries, .. } => opening(purpose, tries),
        State::Closing { then, .. } => after(then, now),
        State::LoggingOut { end, .. } => (State::Ended(end), finish(end, false)),
        State::Fresh | State::Linking { .. } | State::Rechecking { .. } | State::Ended(_) => (state, vec![]),
    }
}

fn connected(state: State, who: Who, now: BootTime) -> (State, Vec<Action>) {
    match state {
        // the client library may reconnect after 515 by itself: then the login comes without a close before it; and if
        // an owner died before it recorded the phone's acceptance, its credentials log in at once
        State::Opening { purpose: Purpose::FirstLogin, tries, .. } => {
            (State::Linking { tries }, vec![Action::Link(who)])
        }
        State::Opening { purpose: Purpose::Pair(_), .. } | State::Accepted { .. } | State::Pairing { .. } => {
            (State::Linking { tries: 0 }, vec![Action::Link(who)])
        }
        State::Opening { purpose: Purpose::Resume, tries, .. } => {
            let (state, mut actions) = online(tries, now);
            actions.insert(0, Action::Status { status: Status::Connected, reason: unstable(tries), banned_for: None });
            (state, actions)
        }
        State::Opening { purpose: Purpose::LogOut { end }, .. } => logging_out(end, now),
        State::Online { .. }
        | State::Linking { .. }
        | State::Finishing { .. }
        | State::Closing { .. }
        | State::LoggingOut { .. }
        | State::Ended(_) => (state, vec![]),
        State::Fresh | State::Backoff { .. } | State::Rechecking { .. } => {
            (state, vec![Action::Unexpected("logged in without having asked for it")])
        }
    }
}

fn logged_out(state: State, confirmed: bool) -> (State, Vec<Action>) {
    match state {
        State::LoggingOut { end, .. } => (State::Ended(end), finish(end, confirmed)),
        state => (state, vec![]),
    }
}
