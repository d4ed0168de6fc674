//! Pure. The life of a run: what each event makes of it, and what that means for its reminder. The store carries it out.

use super::{Status, Tally};
use crate::reminder::life;

/// Something happened to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A worker turned it into messages.
    Expanded,
    /// It can't be sent: the account has no phone, or the delivery window had closed before it began.
    Unsendable,
    /// Messages have left the outbox; this is the current tally of its targets.
    Settled(Tally),
    /// The delivery window closed while something waited.
    WindowClosed {
        /// So stand its targets.
        tally: Tally,
        /// At least one text was delivered.
        delivered: bool,
    },
    /// Somebody asked to go on.
    Resumed,
    /// Somebody asked to leave it at that.
    Canceled {
        /// So stand its targets then.
        tally: Tally,
        /// At least one text had left.
        left: bool,
    },
    /// Its reminder was edited or deleted.
    Superseded {
        /// So stand its targets then.
        tally: Tally,
        /// At least one text had left.
        left: bool,
    },
}

/// What becomes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// From now on.
    pub status: Status,
    /// What its reminder hears of it.
    pub reminder: Option<life::Event>,
}

impl Step {
    const fn to(status: Status) -> Self {
        Self { status, reminder: None }
    }

    const fn telling(self, reminder: life::Event) -> Self {
        Self { reminder: Some(reminder), ..self }
    }
}

/// What an event makes of a run; none: it changes nothing, since it comes too late, twice, or is not for this state.
/// `resumed`: the run was paused before and goes on by request, so that its end lifts the reminder.
#[must_use]
pub fn decide(status: Status, event: Event, resumed: bool) -> Option<Step> {
    match (status, event) {
        (Status::Pending, Event::Expanded) => Some(Step::to(Status::Running)),
        (Status::Pending, Event::Unsendable) => Some(Step::to(Status::Failed)),
        (Status::Running, Event::Settled(tally)) => ended(tally.status(), resumed),
        (Status::Running, Event::WindowClosed { tally, .. }) if tally.pending == 0 => ended(tally.status(), resumed),
        (Status::Running, Event::WindowClosed { tally, delivered }) => {
            Some(Step::to(tally.status_when_window_closes(delivered)).telling(life::Event::WindowClosed))
        }
        (Status::Paused, Event::Resumed) => Some(Step::to(Status::Running)),
        (Status::Pending | Status::Running, Event::Canceled { tally, left }) => over(called_back(tally, left), resumed),
        (Status::Paused, Event::Canceled { tally, .. }) => over(called_back(tally, true), true),
        (Status::Pending | Status::Running | Status::Paused, Event::Superseded { tally, left }) => {
            Some(Step::to(called_back(tally, left)))
        }
        (Status::Pending, Event::Settled(_) | Event::WindowClosed { .. } | Event::Resumed)
        | (Status::Running, Event::Expanded | Event::Unsendable | Event::Resumed)
        | (Status::Paused, Event::Expanded | Event::Unsendable | Event::Settled(_) | Event::WindowClosed { .. })
        | (Status::Success | Status::Partial | Status::Failed | Status::Canceled | Status::Missed, _) => None,
    }
}

/// What a run is that is called back: something has left, or nothing.
fn called_back(tally: Tally, left: bool) -> Status {
    match tally.sent {
        0 if !left => Status::Canceled,
        sent if sent > 0 && sent == tally.total() => Status::Success,
        _ => Status::Partial,
    }
}

/// The end that targets make; none while one is pending.
fn ended(status: Status, resumed: bool) -> Option<Step> {
    match status {
        Status::Running => None,
        status => over(status, resumed),
    }
}

/// An end; that of a run which was resumed lifts its reminder.
fn over(status: Status, resumed: bool) -> Option<Step> {
    let step = Step::to(status);
    Some(if resumed { step.telling(life::Event::RunOver) } else { step })
}

/// What a run that is over becomes once its messages turn out otherwise: more of its targets were sent, or what counted as sent,
/// since it had been handed over, was not. So stand they now; `left`: at least one text was sent. None: it stays as it is.
#[must_use]
pub fn corrected(status: Status, tally: Tally, left: bool) -> Option<Status> {
    let all = tally.sent > 0 && tally.sent == tally.total();
    match status {
        Status::Canceled | Status::Partial | Status::Failed if all => Some(Status::Success),
        Status::Canceled | Status::Partial | Status::Failed if tally.sent > 0 => Some(Status::Partial),
        Status::Canceled if left => Some(Status::Partial),
        Status::Success | Status::Partial if !all && tally.failed > 0 => {
            Some(if tally.sent > 0 || left { Status::Partial } else { Status::Failed })
        }
        Status::Success
        | Status::Partial
        | Status::Canceled
        | Status::Failed
        | Status::Pending
        | Status::Running
        | Status::Paused
        | Status::Missed => None,
    }
}
