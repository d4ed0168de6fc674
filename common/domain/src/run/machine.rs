//! Pure. The state machine of a run, and what each event means for its reminder. The store applies the results.

use super::{Status, Tally};
use crate::reminder::life;

/// Something that happened to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A worker turned it into messages.
    Expanded,
    /// It can't be sent: the account has no phone, or the delivery window closed before the run began.
    Unsendable,
    /// Messages have left the outbox. Holds the current tally of the targets.
    Settled(Tally),
    /// The delivery window closed while messages were waiting.
    WindowClosed {
        /// The current tally of the targets.
        tally: Tally,
        /// At least one text was delivered.
        delivered: bool,
    },
    /// A client asked to resume it.
    Resumed,
    /// A client asked to cancel it.
    Canceled {
        /// The tally of the targets at that time.
        tally: Tally,
        /// At least one text was sent.
        left: bool,
    },
    /// Its reminder was edited or deleted.
    Superseded {
        /// The tally of the targets at that time.
        tally: Tally,
        /// At least one text was sent.
        left: bool,
    },
}

/// The result of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The new status.
    pub status: Status,
    /// The event for its reminder, if any.
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

/// The result of an event; `None` if it changes nothing, because it comes too late, comes twice, or does not apply to
/// this status. `resumed`: the run was paused before and resumed by request, so that its end resumes the reminder.
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

/// The status of a run that is called back. `left`: at least one text was sent.
fn called_back(tally: Tally, left: bool) -> Status {
    match tally.sent {
        0 if !left => Status::Canceled,
        sent if sent > 0 && sent == tally.total() => Status::Success,
        _ => Status::Partial,
    }
}

/// The end of a run by the status of its targets; `None` while a target is pending.
fn ended(status: Status, resumed: bool) -> Option<Step> {
    match status {
        Status::Running => None,
        status => over(status, resumed),
    }
}

/// The end of a run. The end of a resumed run also resumes its reminder.
fn over(status: Status, resumed: bool) -> Option<Step> {
    let step = Step::to(status);
    Some(if resumed { step.telling(life::Event::RunOver) } else { step })
}

/// The corrected status of a finished run whose messages turned out differently: more targets were sent, or a message
/// that counted as sent, since it had been handed over, was not. `tally` is the current tally; `left`: at least one
/// text was sent. `None` if the status stays.
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
