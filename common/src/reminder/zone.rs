//! Pure. From wall-clock time to instants and back: what becomes of a time that clocks skip, or show twice.

use chrono::{DateTime, Duration, MappedLocalTime, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

/// The version of the IANA zone data that this program was built with, such as `2025b`; a later one sorts behind.
pub const DATA_VERSION: &str = chrono_tz::IANA_TZDB_VERSION;

/// What a wall-clock time means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// One instant.
    Once(DateTime<Utc>),
    /// Clocks go back and show it twice: the first and the second time.
    Twice(DateTime<Utc>, DateTime<Utc>),
    /// Clocks go forward and skip it: the instant that lies as far behind the gap as the time lay in it (RFC 5545,
    /// section 3.3.5).
    Skipped(DateTime<Utc>),
}

impl Meaning {
    pub(super) fn of(local: NaiveDateTime, tz: Tz) -> Self {
        match tz.from_local_datetime(&local) {
            MappedLocalTime::Single(at) => Self::Once(at.with_timezone(&Utc)),
            MappedLocalTime::Ambiguous(first, second) => {
                Self::Twice(first.with_timezone(&Utc), second.with_timezone(&Utc))
            }
            MappedLocalTime::None => {
                // read on the clock as it stood before the gap
                let before = (1..=52).find_map(|halves| {
                    tz.offset_from_local_datetime(&(local - Duration::minutes(30 * halves))).latest()
                });
                let offset = before
                    .map_or(TimeDelta::zero(), |offset| TimeDelta::seconds(i64::from(offset.fix().local_minus_utc())));
                Self::Skipped((local - offset).and_utc())
            }
        }
    }

    /// The instant: shifted by the gap where clocks skip the time, the first where they show it twice.
    pub(super) fn instant(self) -> DateTime<Utc> {
        match self {
            Self::Once(at) | Self::Twice(at, _) | Self::Skipped(at) => at,
        }
    }
}

/// The instant of a wall-clock time: shifted by the gap where clocks skip it, the first where they repeat it.
#[must_use]
pub fn instant_of(local: NaiveDateTime, tz: Tz) -> DateTime<Utc> {
    Meaning::of(local, tz).instant()
}

/// The last instant at which clocks show no more than `local`: the later one where they show it twice, the last before the
/// gap where they skip it.
pub(super) fn last_shown(local: NaiveDateTime, tz: Tz) -> DateTime<Utc> {
    match Meaning::of(local, tz) {
        Meaning::Once(at) | Meaning::Twice(_, at) => at,
        Meaning::Skipped(behind) => {
            let shows_more = |at: DateTime<Utc>| tz.from_utc_datetime(&at.naive_utc()).naive_local() > local;
            let (mut before, mut behind) = (behind - AROUND, behind);
            while behind - before > Duration::seconds(1) {
                let middle = before + Duration::seconds((behind - before).num_seconds() / 2);
                if shows_more(middle) { behind = middle } else { before = middle }
            }
            before
        }
    }
}

/// Whether no clock changes within [`AROUND`] of an instant.
pub(super) fn is_steady(at: DateTime<Utc>, tz: Tz) -> bool {
    let offset = |at: DateTime<Utc>| tz.offset_from_utc_datetime(&at.naive_utc()).fix();
    offset(at - AROUND) == offset(at) && offset(at) == offset(at + AROUND)
}

/// Longer than any change of clocks: one island skipped a day.
const AROUND: Duration = Duration::hours(26);

/// A zone's offset at instants that mostly lie close to each other, without a search for each.
#[derive(Debug, Clone)]
pub(super) struct Offsets {
    tz: Tz,
    /// The span that was looked up last, and its offset if clocks did not change in it.
    span: Option<(i64, Option<i64>)>,
}

/// Seconds of four days; no zone changed its clocks and changed them back within as many since 1970, which a test checks.
pub const SPAN: i64 = 4 * 86_400;

impl Offsets {
    pub(super) fn new(tz: Tz) -> Self {
        Self { tz, span: None }
    }

    /// Seconds that wall clocks are ahead of UTC at `at`, which is in seconds since 1970.
    pub(super) fn at(&mut self, at: i64) -> i64 {
        let number = at.div_euclid(SPAN);
        let (_, steady) = match self.span {
            Some(known) if known.0 == number => known,
            _ => {
                let (first, last) = (self.look_up(number * SPAN), self.look_up(number * SPAN + SPAN - 1));
                *self.span.insert((number, (first == last).then_some(first)))
            }
        };
        steady.unwrap_or_else(|| self.look_up(at))
    }

    /// When a wall-clock time is shown first, or the gap that skips it is over; `offset` is a guess at what clocks are ahead.
    pub(super) fn first_at(&mut self, local: NaiveDateTime, offset: i64) -> i64 {
        let guess = local.and_utc().timestamp() - offset;
        let no_change = self.at(guess) == offset && self.at(guess - AROUND.num_seconds()) == offset;
        if no_change { guess } else { Meaning::of(local, self.tz).instant().timestamp() }
    }

    fn look_up(&self, at: i64) -> i64 {
        let utc = DateTime::from_timestamp(at, 0).unwrap_or_default().naive_utc();
        i64::from(self.tz.offset_from_utc_datetime(&utc).fix().local_minus_utc())
    }
}
