//! Pure. The budget of an expansion. Its cost is counted, so that no rule delays others for long.

use super::error::Error;
use super::rule::bad;

/// The number of days, hours and occurrences that one expansion may look at; it takes a few milliseconds. It suffices
/// for each day from 1970 to 2199 (84,006) plus the highest COUNT (10,000).
pub const STEPS_MAX: u32 = 100_000;

/// The rest of the budget.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps(u32);

impl Steps {
    pub(super) fn new() -> Self {
        Self(STEPS_MAX)
    }

    /// Uses up `steps` of the budget.
    pub(super) fn take(&mut self, steps: u32) -> Result<(), Error> {
        self.0 = self.0.checked_sub(steps).ok_or_else(|| {
            bad("takes too long to expand: its parts agree too rarely, or COUNT is too high for how rarely they do")
        })?;
        Ok(())
    }

    /// The number of steps used.
    pub(super) fn taken(self) -> u32 {
        STEPS_MAX - self.0
    }
}
