//! The columns that decide when a reminder fires.

use chrono::NaiveDateTime;
use schedule::{OnGap, Schedule, Stored, Window};

/// The columns of `reminders` from which a schedule is read.
pub(crate) struct Timetable {
    pub(crate) start_local: NaiveDateTime,
    pub(crate) start_later: bool,
    pub(crate) timezone: String,
    pub(crate) rrule: Option<String>,
    pub(crate) times: Vec<i16>,
    pub(crate) exdates: Vec<String>,
    pub(crate) on_gap: OnGap,
    pub(crate) window: Option<Window>,
}

/// Builds a [`Timetable`] from a row with these columns.
macro_rules! timetable {
    ($row:expr) => {
        $crate::reminders::timetable::Timetable {
            start_local: $row.start_local,
            start_later: $row.start_later,
            timezone: $row.timezone,
            rrule: $row.rrule,
            times: $row.times,
            exdates: $row.exdates,
            on_gap: $row.on_gap,
            window: schedule::Window::stored($row.window_end, $row.window_start_min, $row.window_end_min),
        }
    };
}
pub(crate) use timetable;

impl Timetable {
    /// The schedule of these columns.
    ///
    /// # Errors
    /// If the columns are not a valid schedule.
    pub(crate) fn schedule(&self) -> Result<Schedule, schedule::Error> {
        Schedule::read(&Stored {
            start_local: self.start_local,
            start_later: self.start_later,
            timezone: &self.timezone,
            rrule: self.rrule.as_deref(),
            times: &self.times,
            exdates: &self.exdates,
            on_gap: self.on_gap,
            window: self.window,
        })
    }
}
