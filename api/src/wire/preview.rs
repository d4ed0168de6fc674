//! The preview of a schedule in answers of the API.

use chrono::{DateTime, FixedOffset, NaiveDateTime, Utc};
use schedule::occurrence::{Clocks, Occurrence};
use schedule::{Accepted, Recurrence, Shown};
use serde::Serialize;
use utoipa::ToSchema;

/// When a reminder would fire.
#[derive(Serialize, ToSchema)]
pub struct Preview {
    /// How it repeats, in words.
    #[schema(example = "Every Mon, Thu")]
    pub summary: String,
    /// The rule as it would be stored; null if it fires once, or if no rule can express its `times`.
    pub rrule: Option<String>,
    /// How it repeats; null if only an RRULE can express it.
    pub recurrence: Option<Recurrence>,
    /// The next occurrences, in order. There are fewer than requested if no more exist, or if finding more would cost
    /// too much: the search ends after looking at 100,000 days, hours and occurrences.
    pub occurrences: Vec<Firing>,
    /// Wall-clock times before the last occurrence that clocks skip and at which it does not fire. `on_gap: skip`
    /// leaves them out, or `shift` would move them behind the end of their window.
    #[schema(value_type = Vec<String>)]
    pub skipped: Vec<NaiveDateTime>,
}

/// One occurrence.
#[derive(Serialize, ToSchema)]
pub struct Firing {
    /// The instant at which it fires.
    pub at: DateTime<Utc>,
    /// The wall-clock time in `timezone` at that instant, with its offset.
    pub local: DateTime<FixedOffset>,
    /// How a change of clocks affects it; null if none does.
    pub clocks: Option<Clocks>,
    /// The wall-clock time that the rule names, if clocks skip it; otherwise null.
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
