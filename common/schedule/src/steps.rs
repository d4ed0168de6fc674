//! Pure. The budget of an expansion: what it costs is counted, so that no rule holds up those behind it.

use super::error::Error;
use super::rule::bad;

/// Days, hours and occurrences that one expansion may look at. Enough for each day from 1970 to 2199 (84,006) and the
/// longest count (10,000); a few milliseconds.
pub const STEPS_MAX: u32 = 100_000;

/// What is left of the budget.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps(u32);

impl Steps {
    pub(super) fn new() -> Self {
        Self(STEPS_MAX)
    }

    /// Takes some.
    pub(super) fn take(&mut self, steps: u32) -> Result<(), Error> {
        self.0 = self.0.checked_sub(steps).ok_or_else(|| {
            bad("takes too long to expand: its parts agree too rarely, or COUNT is too high for how rarely they do")
        })?;
        Ok(())
    }

    /// How many were taken.
    pub(super) fn taken(self) -> u32 {
        STEPS_MAX - self.0
    }
}
