//! Conversion of durations to Postgres intervals.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

use super::error::{Error, Result};

/// A duration as an interval.
///
/// # Errors
/// `Corrupt` if it has fractions of a microsecond or is too long.
pub(crate) fn interval(duration: Duration) -> Result<PgInterval> {
    PgInterval::try_from(duration).map_err(|_| Error::Corrupt(format!("{duration:?} is no interval")))
}
