//! Pure. The machine's rules while a connection is online: when to read the groups, when to give the connection up, and
//! when to give up a message that no connection gets an answer for.

use std::time::Duration;

use domain::account::Status;
use domain::id::MessageId;
use process::clock::BootTime;
use process::telemetry::metrics::labels::RestartCause;

use super::action::Action;
use super::close::unanswered;
use super::event::{Facts, Unanswered};
use super::restart::counted;
use super::state::{After, End, Groups, Purpose, State};
use super::steps::{closing, logging_out};

/// A connection that leaves a message unacknowledged for longer is dead.
const ACKNOWLEDGED: Duration = Duration::from_secs(15);
/// A message is not alone to blame if another one has also waited this long for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many connections that were otherwise in order a message may end before it is given up.
const BLAMED_MAX: i32 = 5;

/// Logged in. Each connection reads the groups again, because they may have changed while there was none.
pub(super) fn online(tries: u32, now: BootTime) -> (State, Vec<Action>) {
    (State::Online { since: now, tries, groups: Groups::Reading }, vec![Action::SyncGroups])
}

pub(super) fn linked(state: State, other: Option<String>, now: BootTime) -> (State, Vec<Action>) {
    match (state, other) {
        (State::Linking { tries }, None) => online(tries, now),
        // the original account keeps working; this device is logged out, also on the phone
        (State::Linking { .. }, Some(_)) => logging_out(End::Settled, now),
        (state, _) => (state, vec![]),
    }
}

/// The row was read while the session is online.
pub(super) fn seen(since: BootTime, tries: u32, groups: Groups, facts: &Facts) -> (State, Vec<Action>) {
    let mut actions = vec![Action::Drain];
    if facts.status == Status::Disconnected {
        // the account was marked as owned by nobody because our heartbeat failed; its socket is still open
        actions.insert(0, Action::Status { status: Status::Connected, reason: None, banned_for: None });
    }
    let (groups, mut read) = if facts.groups_wanted { read_groups(groups) } else { (groups, vec![]) };
    actions.append(&mut read);
    (State::Online { since, tries, groups }, actions)
}

/// Reads the groups. Only one reading runs at a time; a request during it causes one more.
fn read_groups(groups: Groups) -> (Groups, Vec<Action>) {
    match groups {
        Groups::Known => (Groups::Reading, vec![Action::SyncGroups]),
        Groups::Reading | Groups::ReadAgain => (Groups::ReadAgain, vec![]),
    }
}

/// WhatsApp says that a group has changed. A session that is not online reads the groups at its next login.
pub(super) fn groups_changed(state: State) -> (State, Vec<Action>) {
    let State::Online { since, tries, groups } = state else { return (state, vec![]) };
    let (groups, actions) = read_groups(groups);
    (State::Online { since, tries, groups }, actions)
}

/// Reading the groups has ended, with or without success.
pub(super) fn groups_read(state: State) -> (State, Vec<Action>) {
    let State::Online { since, tries, groups } = state else { return (state, vec![]) };
    let (groups, actions) = match groups {
        Groups::ReadAgain => read_groups(Groups::Known),
        Groups::Reading | Groups::Known => (Groups::Known, vec![]),
    };
    (State::Online { since, tries, groups }, actions)
}

/// The connection cannot be trusted any more. `suspect` is the message that showed it. That message is blamed only if
/// no other one has waited as well, because a dead connection is no message's fault.
pub(super) fn stale(state: State, suspect: Option<Unanswered>, now: BootTime) -> (State, Vec<Action>) {
    match state {
        State::Online { since, tries, .. } => {
            let (state, mut actions) =
                unanswered(RestartCause::Stale, Purpose::Resume, counted(since, tries, now), now);
            if let Some(Unanswered { message, attempts, .. }) = suspect.filter(|message| message.others < PATIENCE) {
                actions.insert(1, Action::Blame { message, attempts }); // after the close, whose deadline runs
            }
            (state, actions)
        }
        // no answer is worth waiting for
        state @ State::Finishing { .. } => idle(state, now),
        state => (state, vec![]),
    }
}

/// Checks the message that has waited longest.
pub(super) fn waits(state: State, oldest: Unanswered, now: BootTime) -> (State, Vec<Action>) {
    if matches!(state, State::Online { .. }) && oldest.waited > ACKNOWLEDGED {
        return stale(state, Some(oldest), now);
    }
    (state, vec![])
}

/// A message was blamed; `times` counts every blame so far. A message that ends one connection after another is given
/// up, so that those behind it go out.
pub(super) fn blamed(state: State, message: MessageId, attempts: i32, times: i32) -> (State, Vec<Action>) {
    match state {
        // nothing may be written any more
        State::Ended(_) | State::Closing { then: After::End(End::Lost(_)), .. } => (state, vec![]),
        state if times >= BLAMED_MAX => (state, vec![Action::GiveUpMessage { message, attempts, times }]),
        state => (state, vec![]),
    }
}

pub(super) fn idle(state: State, now: BootTime) -> (State, Vec<Action>) {
    match state {
        State::Finishing { .. } => closing(After::End(End::Released), vec![Action::Close], now),
        state => (state, vec![]),
    }
}
