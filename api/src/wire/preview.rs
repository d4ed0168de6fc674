//! When a reminder would fire, as it is answered.

use chrono::{DateTime, FixedOffset, NaiveDateTime, Utc};
use schedule::occurrence::{Clocks, Occurrence};
use schedule::{Accepted, Recurrence, Shown};
use serde::Serialize;
use utoipa::ToSchema;

/// When it would fire.
#[derive(Serialize, ToSchema)]
pub struct Preview {
    /// What it repeats on, in words.
    #[schema(example = "Every Mon, Thu")]
    pub summary: String,
    /// The rule as it would be stored; null: it fires once, or no rule says its `times`.
    pub rrule: Option<String>,
    /// What it repeats on; null when only an RRULE can say it.
    pub recurrence: Option<Recurrence>,
    /// The next occurrences, in order; fewer than asked for when there are no more, or when finding more would cost too much:
    /// the search ends after 100,000 days, hours and occurrences that it looked at.
    pub occurrences: Vec<Firing>,
    /// Wall-clock times before the last of them that clocks skip and at which it does not fire: `on_gap: skip` leaves them out, or `shift`
    /// would move them behind the end of their window.
    #[schema(value_type = Vec<String>)]
    pub skipped: Vec<NaiveDateTime>,
}

/// One occurrence.
#[derive(Serialize, ToSchema)]
pub struct Firing {
    /// The instant.
    pub at: DateTime<Utc>,
    /// What clocks in `timezone` show then, with their offset.
    pub local: DateTime<FixedOffset>,
    /// What clocks did to it; null: nothing.
    pub clocks: Option<Clocks>,
    /// The wall-clock time that the rule names, where clocks skip it; else null.
    #[schema(value_type = Option<String>, example = "2027-03-28T02:30:00")]
    pub nominal: Option<NaiveDateTime>,
    /// When sending stops for the day; null without `window_end`.
    pub window_closes_at: Option<DateTime<Utc>>,
}

impl From<Accepted> for Preview {
    fn from(accepted: Accepted) -> Self {
        let Shown { summary, recurrence, rrule } = Shown::of(accepted.rrule.as_deref(), &accepted.times);
        let occurrences = accepted.following.occurrences.iter();
        Self {
            summary,
            rrule,
            recurrence,
            occurrences: occurrences.map(|occurrence| Firing::of(&accepted, *occurrence)).collect(),
            skipped: accepted.following.skipped,
        }
    }
}

impl Firing {
    fn of(accepted: &Accepted, Occurrence { at, nominal, clocks }: Occurrence) -> Self {
        Self {
            at,
            local: at.with_timezone(&accepted.tz).fixed_offset(),
            clocks,
            nominal: Some(nominal).filter(|_| clocks == Some(Clocks::Shifted)),
            window_closes_at: accepted.window.map(|window| window.closes_at(accepted.tz, at)),
        }
    }
}
