//! Pure. How a stored rule is shown: in words, as the structured form where that can say it, and as the rule itself.

use super::recurrence::Recurrence;
use super::summary;

/// A stored rule as people and programs see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// In words.
    pub summary: String,
    /// The structured form; none where only an RRULE can say it.
    pub recurrence: Option<Recurrence>,
    /// The RRULE; none where it fires once, or where no rule says its times of a day.
    pub rrule: Option<String>,
}

impl Shown {
    /// Of a rule, with times of a day, in minutes from midnight, that it does not say.
    #[must_use]
    pub fn of(rrule: Option<&str>, times: &[i16]) -> Self {
        Self {
            summary: summary::of_stored(rrule, times),
            recurrence: Recurrence::from_stored(rrule, times),
            rrule: rrule.filter(|_| times.is_empty()).map(str::to_owned),
        }
    }
}
