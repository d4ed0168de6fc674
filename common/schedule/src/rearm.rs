//! Pure. When a reminder fires that is edited near its due time. An occurrence of which nothing was sent fires as
//! edited, within a minute. An occurrence that was sent does not fire again.

use chrono::{DateTime, Duration, DurationRound as _, Utc};

use super::error::Error;
use super::schedule::{GRACE, Schedule};
use super::window::Window;

/// A run that stands in for an occurrence fires at most this long after the occurrence, or after the end of the run
/// before. The time is the minute of grace plus the rest of the current minute.
const STAND_IN: Duration = Duration::seconds(120);

/// What a reminder has done up to the moment of an edit.
#[derive(Debug, Clone)]
pub struct Past {
    /// The current time by the database's clock.
    pub now: DateTime<Utc>,
    /// When it last fired.
    pub fired: Option<DateTime<Utc>>,
    /// Its latest runs, newest first, without missed ones.
    pub runs: Vec<Run>,
}

/// A run of the reminder.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The occurrence, or the minute that stands in for it.
    pub fire_at: DateTime<Utc>,
    /// When the run finished. `None`: the edit ends it.
    pub finished_at: Option<DateTime<Utc>>,
    /// Nothing of it was handed over to WhatsApp, and the edit ends it or an earlier edit ended it.
    pub is_unsent: bool,
}

impl Past {
    /// The first fire of an edited reminder whose first occurrence is not in the future; `None` if it never fires
    /// again.
    ///
    /// # Errors
    /// If it is not found within the budget of steps.
    pub fn first_fire(&self, schedule: &Schedule) -> Result<Option<DateTime<Utc>>, Error> {
        let graced = self.now - GRACE - Duration::microseconds(1);
        let since = self.fired.map_or(graced, |fired| fired.max(graced));
        let minute = next_minute(self.now);
        let ahead = schedule.next_after(self.now)?;
        if self.owes(schedule)? {
            return Ok(Some(ahead.map_or(minute, |ahead| ahead.min(minute))));
        }
        match schedule.next_after(since)? {
            Some(due) if due <= self.now && Window::is_open(schedule.window, schedule.tz, due, minute) => {
                Ok(Some(minute))
            }
            _ => Ok(ahead),
        }
    }

    /// The first fire at the moment when an edit is written. `planned` was computed shortly before the edit ended the
    /// runs. Runs may have fired or sent since then.
    ///
    /// # Errors
    /// If it is not found within the budget of steps.
    pub fn rearm(&self, schedule: &Schedule, planned: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Error> {
        if self.owes(schedule)? {
            let minute = next_minute(self.now);
            return Ok(Some(if planned > self.now { planned.min(minute) } else { minute }));
        }
        let Some(fired) = self.fired.filter(|_| planned <= next_minute(self.now)) else { return Ok(Some(planned)) };
        match schedule.next_after(fired)? {
            Some(due) if due <= planned => Ok(Some(planned)),
            _ => schedule.next_after(self.now), // the planned occurrence has fired meanwhile
        }
    }

    /// Whether the edited schedule contains an occurrence of which nothing was sent and whose window is still open.
    fn owes(&self, schedule: &Schedule) -> Result<bool, Error> {
        for fired in self.called_back() {
            let due = schedule.next_after(fired - STAND_IN - Duration::seconds(1))?;
            if let Some(due) = due
                && due <= fired
                && Window::is_open(schedule.window, schedule.tz, due, next_minute(self.now))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The occurrences that the edit calls back. These are the last run's, if nothing of it was sent and nothing has
    /// fired in its place, and those of the runs that it stood in for.
    fn called_back(&self) -> impl Iterator<Item = DateTime<Utc>> {
        let mut followed_at = self.now;
        let called_back = self.runs.iter().take_while(move |run| {
            let is_last = run.finished_at.is_none_or(|at| followed_at - at <= STAND_IN);
            followed_at = run.fire_at;
            run.is_unsent && is_last
        });
        called_back.map(|run| run.fire_at)
    }
}

fn next_minute(now: DateTime<Utc>) -> DateTime<Utc> {
    now.duration_trunc(Duration::minutes(1)).unwrap_or(now) + Duration::minutes(1)
}
