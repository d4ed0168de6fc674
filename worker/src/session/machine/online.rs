//! Pure. What a session does while its connection serves: when it reads the groups, when it gives the connection up,
//! and when a message that no connection has an answer to.

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

/// Without an acknowledgement for this long the connection is dead, whatever it says.
const ACKNOWLEDGED: Duration = Duration::from_secs(15);
/// A message is not alone to blame when another one has waited for an answer this long as well.
const PATIENCE: Duration = Duration::from_secs(3);
/// So often a message may be to blame, each time for a connection that was in order otherwise, before it is given up.
const BLAMED_MAX: i32 = 5;

/// Logged in: each connection reads the groups anew, since they may have changed while there was none.
pub(super) fn online(tries: u32, now: BootTime) -> (State, Vec<Action>) {
    (State::Online { since: now, tries, groups: Groups::Reading }, vec![Action::SyncGroups])
}

pub(super) fn linked(state: State, other: Option<String>, now: BootTime) -> (State, Vec<Action>) {
    match (state, other) {
        (State::Linking { tries }, None) => online(tries, now),
        // the original keeps working; this device goes, on the phone's side too
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

/// The connection is not to be trusted any more. `suspect` is the message that found it out; it is to blame where no other one
/// has waited as well, since a dead connection is no message's fault.
pub(super) fn stale(state: State, suspect: Option<Unanswered>, now: BootTime) -> (State, Vec<Action>) {
    match state {
        State::Online { since, tries, .. } => {
            let (state, mut actions) =
                unanswered(RestartCause::Stale, Purpose::Resume, counted(since, tries, now), now);
            if let Some(Unanswered { message, attempts, .. }) = suspect.filter(|message| message.others < PATIENCE) {
                actions.insert(1, Action::Blame { message, attempts }); // behind the close, whose time runs already
            }
            (state, actions)
        }
        // no answer is to be waited for
        state @ State::Finishing { .. } => idle(state, now),
        state => (state, vec![]),
    }
}

/// The message that has waited longest was looked at.
pub(super) fn waits(state: State, oldest: Unanswered, now: BootTime) -> (State, Vec<Action>) {
    if matches!(state, State::Online { .. }) && oldest.waited > ACKNOWLEDGED {
        return stale(state, Some(oldest), now);
    }
    (state, vec![])
}

/// A message was blamed, so many times by now. One that ends connection after connection is given up, so that those behind it
/// go out.
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
