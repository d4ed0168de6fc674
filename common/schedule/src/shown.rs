//! Pure. How a stored rule is shown: in words, in the structured form if that can express it, and as an RRULE.

use super::recurrence::Recurrence;
use super::summary;

/// A stored rule as it is shown to people and programs.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The rule in words.
    pub summary: String,
    /// The structured form; `None` if only an RRULE can express the rule.
    pub recurrence: Option<Recurrence>,
    /// The RRULE; `None` if the reminder fires once, or if an RRULE cannot express its times of day.
    pub rrule: Option<String>,
}

impl Shown {
    /// Shows a stored rule. `times` are times of day, in minutes from midnight, that the rule does not contain.
    #[must_use]
    pub fn of(rrule: Option<&str>, times: &[i16]) -> Self {
        Self {
            summary: summary::of_stored(rrule, times),
            recurrence: Recurrence::from_stored(rrule, times),
            rrule: rrule.filter(|_| times.is_empty()).map(str::to_owned),
        }
    }
}
