//! Pure. The state machine of a reminder. Its schedule computes whether an occurrence lies ahead.

use serde::{Deserialize, Serialize};

/// The status of a reminder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", schema(as = ReminderStatus))]
pub enum Status {
    /// It will fire.
    Active,
    /// It does not fire: its tenant paused it, or the delivery window of one of its runs closed.
    Paused,
    /// It can't go on.
    Failed,
    /// It has fired for the last time.
    Ended,
}

impl Status {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Active, Self::Paused, Self::Failed, Self::Ended];

    /// The value in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Ended => "ended",
        }
    }
}

/// The state of a reminder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The status.
    pub status: Status,
    /// The tenant paused it, so the end of a run does not resume it.
    pub by_tenant: bool,
}

/// What the schedule says about the time after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// There is a next occurrence.
    Next,
    /// There is none.
    Nothing,
    /// It can't be computed.
    Broken,
}

/// Something that happened to a reminder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Runs were created for the due occurrences.
    Fired,
    /// It was replaced as a whole and armed again.
    Edited,
    /// The tenant paused it.
    Paused,
    /// The tenant resumed it.
    Resumed,
    /// The delivery window of one of its runs closed.
    WindowClosed,
    /// A run that had been paused has ended: it was resumed and finished, or it was canceled.
    RunOver,
}

/// The state after an event; `None` if the event changes nothing or does not apply to this state.
#[must_use]
pub fn decide(state: State, event: Event, ahead: Ahead) -> Option<State> {
    let armed = State { status: with(ahead), by_tenant: false };
    match (state.status, event) {
        (Status::Active, Event::Fired) | (Status::Paused, Event::Resumed) => Some(armed),
        (_, Event::Edited) => Some(State { status: Status::Active, by_tenant: false }),
        (Status::Active | Status::Paused, Event::Paused) => Some(State { status: Status::Paused, by_tenant: true }),
        (Status::Failed, Event::Resumed) => (ahead == Ahead::Next).then_some(armed),
        (Status::Active | Status::Ended, Event::WindowClosed) => {
            Some(State { status: Status::Paused, by_tenant: false })
        }
        (Status::Paused, Event::RunOver) => (!state.by_tenant).then_some(armed),
        (Status::Active, Event::Resumed | Event::RunOver)
        | (Status::Paused, Event::Fired | Event::WindowClosed)
        | (Status::Failed, Event::Fired | Event::Paused | Event::WindowClosed | Event::RunOver)
        | (Status::Ended, Event::Fired | Event::Paused | Event::Resumed | Event::RunOver) => None,
    }
}

fn with(ahead: Ahead) -> Status {
    match ahead {
        Ahead::Next => Status::Active,
        Ahead::Nothing => Status::Ended,
        Ahead::Broken => Status::Failed,
    }
}
