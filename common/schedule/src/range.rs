//! Pure. The range of supported dates.

use chrono::{Datelike as _, NaiveDate};

/// Whether a date lies between the years 1970 and 2199.
pub(crate) fn within_range(date: NaiveDate) -> bool {
    (1970..2200).contains(&date.year())
}
