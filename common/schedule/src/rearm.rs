//! Pure. When a reminder fires that is edited as it comes due: an occurrence of which nothing was sent goes out as
//! edited, within a minute; one that was sent does not go out again.

use chrono::{DateTime, Duration, DurationRound as _, Utc};

use super::error::Error;
use super::schedule::{GRACE, Schedule};
use super::window::Window;

/// A run that fires in place of an occurrence does so at most this long behind it, or behind the end of the run before: the
/// minute of grace, and what is left of the minute at hand.
const STAND_IN: Duration = Duration::seconds(120);

/// What a reminder has done until it is edited.
#[derive(Debug, Clone)]
pub struct Past {
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// When it last fired.
    pub fired: Option<DateTime<Utc>>,
    /// Its newest runs, the newest first; without those that were missed.
    pub runs: Vec<Run>,
}

/// A run of it.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The occurrence, or the minute that stands in for it.
    pub fire_at: DateTime<Utc>,
    /// When it was over; none: an edit ends it.
    pub finished_at: Option<DateTime<Utc>>,
    /// Nothing of it was handed over to WhatsApp, and an edit ends it or has ended it.
    pub is_unsent: bool,
}

impl Past {
    /// When an edited reminder fires first whose own first occurrence is not ahead; none: never again.
    ///
    /// # Errors
    /// When it is not found within the budget of steps.
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

    /// The same as an edit is written that was planned for `planned` a moment ago, before its runs were ended: they may have
    /// fired, or sent, meanwhile.
    ///
    /// # Errors
    /// When it is not found within the budget of steps.
    pub fn rearm(&self, schedule: &Schedule, planned: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Error> {
        if self.owes(schedule)? {
            let minute = next_minute(self.now);
            return Ok(Some(if planned > self.now { planned.min(minute) } else { minute }));
        }
        let Some(fired) = self.fired.filter(|_| planned <= next_minute(self.now)) else { return Ok(Some(planned)) };
        match schedule.next_after(fired)? {
            Some(due) if due <= planned => Ok(Some(planned)),
            _ => schedule.next_after(self.now), // what it was planned for has fired
        }
    }

    /// Whether nothing was sent of an occurrence that the edited schedule has as well, and it may still be sent.
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

    /// The occurrences that the edit calls back: the last run, if nothing of it was sent and nothing has fired in its place yet,
    /// and the runs in whose place that one fired.
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
