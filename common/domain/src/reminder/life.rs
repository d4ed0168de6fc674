//! Pure. The life of a reminder: what each event makes of it. Whether something lies ahead is computed by its schedule.

use serde::{Deserialize, Serialize};

/// How far a reminder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", schema(as = ReminderStatus))]
pub enum Status {
    /// It will fire.
    Active,
    /// It rests: its tenant paused it, or the delivery window closed on a run of it.
    Paused,
    /// It can't go on.
    Failed,
    /// It has fired for the last time.
    Ended,
}

impl Status {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Active, Self::Paused, Self::Failed, Self::Ended];

    /// The word that the row holds.
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

/// Where a reminder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// How far it is.
    pub status: Status,
    /// Its tenant paused it: no run's end lifts that.
    pub by_tenant: bool,
}

/// What its schedule says about the time after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// There is a next occurrence.
    Next,
    /// There is none.
    Nothing,
    /// It can't be computed.
    Broken,
}

/// Something happened to a reminder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// What was due has its runs.
    Fired,
    /// It was replaced whole and is armed anew.
    Edited,
    /// Its tenant paused it.
    Paused,
    /// Its tenant lets it go on, from now.
    Resumed,
    /// The delivery window closed on a run of it.
    WindowClosed,
    /// A run that had been paused is over: resumed to its end, or canceled.
    RunOver,
}

/// What an event makes of a reminder; none: it changes nothing, or is not for this state.
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
