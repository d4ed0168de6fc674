//! Pure. How often and after what pause a connection is made again, and what is reported about it. A session that
//! connects and drops at once counts as one loop of restarts, which is made visible.

use std::time::Duration;

use domain::account::Status;
use process::clock::BootTime;
use process::telemetry::metrics::labels::RestartCause;

use super::action::Action;
use super::state::{After, End, Purpose, STEADY, State};
use super::steps::{finish, opening, status};

/// From this many restarts in a row on, an account is unstable.
pub const UNSTABLE: u32 = 5;

/// Seconds before each further attempt to be online again. The last value repeats.
const BACKOFF_S: [u64; 8] = [0, 1, 2, 5, 10, 20, 40, 60];

/// How long to wait before restart number `tries`.
#[must_use]
pub fn backoff(tries: u32) -> Duration {
    let index = usize::try_from(tries).unwrap_or(usize::MAX).min(BACKOFF_S.len() - 1);
    Duration::from_secs(BACKOFF_S[index])
}

/// The restarts in a row that still count for a session that has been online since `since`.
pub(super) fn counted(since: BootTime, tries: u32, now: BootTime) -> u32 {
    if now.since(since) >= STEADY { 0 } else { tries }
}

/// The status reason of an account that is restarted again and again; `None` for any other.
pub(super) fn unstable(tries: u32) -> Option<String> {
    (tries >= UNSTABLE).then(|| format!("restarted {tries} times in a row"))
}

/// Whether restarts are reported: at 5 in a row and at each doubling (5, 10, 20, 40 …).
fn worth_telling(tries: u32) -> bool {
    tries.is_multiple_of(UNSTABLE) && (tries / UNSTABLE).is_power_of_two()
}

/// The actions that report a restart: a count, the status with its reason, and sometimes an event. Only a resumed
/// account gets the status: until the first login is written the row stays `pending`, and a logout has no status of its
/// own.
pub(super) fn told(purpose: &Purpose, cause: RestartCause, tries: u32, words: &str) -> Vec<Action> {
    let mut actions = vec![Action::Restart { cause }];
    if *purpose == Purpose::Resume {
        let reason = unstable(tries).map_or_else(|| words.to_owned(), |often| format!("{often}: {words}"));
        actions.push(status(Status::Disconnected, &reason));
    }
    if worth_telling(tries) {
        actions.push(Action::Unstable { restarts: tries, reason: words.to_owned() });
    }
    actions
}

/// Connects again after a pause, or at once if the pause is zero.
pub(super) fn again(purpose: Purpose, pause: Duration, tries: u32, now: BootTime) -> (State, Vec<Action>) {
    if pause.is_zero() {
        return opening(purpose, tries);
    }
    (State::Backoff { until: now + pause, purpose, tries }, vec![])
}

/// What follows a close that we asked for.
pub(super) fn after(then: After, now: BootTime) -> (State, Vec<Action>) {
    match then {
        After::End(end @ (End::Removed | End::Unlinked)) => (State::Ended(end), finish(end, false)),
        After::End(end) => (State::Ended(end), vec![]),
        After::Reopen { purpose, tries } => again(purpose, backoff(tries), tries, now),
    }
}
