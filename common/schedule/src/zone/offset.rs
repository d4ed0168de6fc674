//! Implements the `chrono` traits for zones, so that other code can use `chrono` types.

use std::fmt;

use chrono::{FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc};

use super::data::{Local, Tz};

/// The offset of a zone from UTC at one instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ZoneOffset {
    tz: Tz,
    /// The instant, in seconds since 1970.
    at: i64,
    fixed: FixedOffset,
}

impl ZoneOffset {
    fn of(tz: Tz, at: i64) -> Self {
        // every zone is less than a day away from UTC
        let fixed = FixedOffset::east_opt(tz.ahead_at(at)).unwrap_or_else(|| Utc.fix());
        Self { tz, at, fixed }
    }
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        self.fixed
    }
}

impl fmt::Debug for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fixed)
    }
}

/// Writes the name of the clocks at the instant, such as `CEST`.
impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tz.abbreviation(self.at))
    }
}

impl TimeZone for Tz {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Self {
        offset.tz
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<ZoneOffset> {
        self.offset_from_local_datetime(&local.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<ZoneOffset> {
        let offset = |at: chrono::DateTime<Utc>| ZoneOffset::of(*self, at.timestamp());
        match self.local(*local) {
            Local::Once(at) => MappedLocalTime::Single(offset(at)),
            Local::Twice(first, second) => MappedLocalTime::Ambiguous(offset(first), offset(second)),
            Local::Skipped(_) => MappedLocalTime::None,
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&utc.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> ZoneOffset {
        ZoneOffset::of(*self, utc.and_utc().timestamp())
    }
}
