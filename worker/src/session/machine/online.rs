//! Pure. What a session does while its connection serves: when it reads the groups, and when it gives the connection up.

use domain::account::Status;
use process::clock::BootTime;
use process::telemetry::metrics::labels::RestartCause;

use super::action::Action;
use super::close::unanswered;
use super::logging_out;
use super::restart::counted;
use super::state::{After, End, Facts, Groups, Purpose, State};
use super::steps::closing;

/// Logged in: each connection reads the groups anew, since they may have changed while there was none.
pub(super) fn online(tries: u32, now: BootTime) -> (State, Vec<Action>) {
    (State::Online { since: now, tries, groups: Groups::Reading }, vec![Action::SyncGroups])
}

pub(super) fn linked(state: State, other: Option<String>, now: BootTime) -> (State, Vec<Action>) {
    match (state, other) {
        (State::Linking { tries }, None) => online(tries, now),
        // the original keeps working; this device goes, on the phone's side too (R29)
        (State::Linking { .. }, Some(_)) => logging_out(End::Settled, now),
        (state, _) => (state, vec![]),
    }
}

/// The row was read while it is online.
pub(super) fn seen(since: BootTime, tries: u32, groups: Groups, facts: &Facts) -> (State, Vec<Action>) {
    let mut actions = vec![Action::Drain];
    if facts.status == Status::Disconnected {
        // it was told that nobody has it, as our heartbeat did not come through; its socket is open all the same
        actions.insert(0, Action::Status { status: Status::Connected, reason: None, banned_for: None });
    }
    let (groups, mut read) = if facts.groups_wanted { read_groups(groups) } else { (groups, vec![]) };
    actions.append(&mut read);
    (State::Online { since, tries, groups }, actions)
}

/// One reading at a time: what asks meanwhile is answered by one more.
fn read_groups(groups: Groups) -> (Groups, Vec<Action>) {
    match groups {
        Groups::Known => (Groups::Reading, vec![Action::SyncGroups]),
        Groups::Reading | Groups::ReadAgain => (Groups::ReadAgain, vec![]),
    }
}

/// WhatsApp says that a group has changed. Whoever is not online reads them with the next login.
pub(super) fn groups_changed(state: State) -> (State, Vec<Action>) {
    let State::Online { since, tries, groups } = state else { return (state, vec![]) };
    let (groups, actions) = read_groups(groups);
    (State::Online { since, tries, groups }, actions)
}

/// A reading has ended, whatever came of it.
pub(super) fn groups_read(state: State) -> (State, Vec<Action>) {
    let State::Online { since, tries, groups } = state else { return (state, vec![]) };
    let (groups, actions) = match groups {
        Groups::ReadAgain => read_groups(Groups::Known),
        Groups::Reading | Groups::Known => (Groups::Known, vec![]),
    };
    (State::Online { since, tries, groups }, actions)
}

pub(super) fn stale(state: State, now: BootTime) -> (State, Vec<Action>) {
    match state {
        State::Online { since, tries, .. } => {
            unanswered(RestartCause::Stale, Purpose::Resume, counted(since, tries, now), now)
        }
        // no answer is to be waited for
        state @ State::Finishing { .. } => idle(state, now),
        state => (state, vec![]),
    }
}

pub(super) fn idle(state: State, now: BootTime) -> (State, Vec<Action>) {
    match state {
        State::Finishing { .. } => closing(After::End(End::Released), vec![Action::Close], now),
        state => (state, vec![]),
    }
}
