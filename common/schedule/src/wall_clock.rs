//! Pure. Conversion between wall-clock time and instants, for times that clocks skip or show twice as well.

use chrono::{DateTime, Duration, NaiveDateTime, TimeZone as _, Utc};

pub(super) use crate::zone::Local;
use crate::zone::Tz;

impl Local {
    /// The instant. A skipped time is shifted by the gap (RFC 5545, section 3.3.5). A time that is shown twice means
    /// the first.
    pub(super) fn instant(self) -> DateTime<Utc> {
        match self {
            Self::Once(at) | Self::Twice(at, _) | Self::Skipped(at) => at,
        }
    }
}

/// The instant of a wall-clock time. A skipped time is shifted by the gap. A time that is shown twice means the first.
#[must_use]
pub fn instant_of(local: NaiveDateTime, tz: Tz) -> DateTime<Utc> {
    tz.local(local).instant()
}

/// The last instant at which clocks show no more than `local`. If they show it twice, this is the second time. If they
/// skip it, this is the last second before the gap.
pub(super) fn last_shown(local: NaiveDateTime, tz: Tz) -> DateTime<Utc> {
    match tz.local(local) {
        Local::Once(at) | Local::Twice(_, at) => at,
        Local::Skipped(behind) => {
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

/// Whether clocks don't change within [`AROUND`] of an instant.
pub(super) fn is_steady(at: DateTime<Utc>, tz: Tz) -> bool {
    let offset = |at: DateTime<Utc>| tz.ahead_at(at.timestamp());
    offset(at - AROUND) == offset(at) && offset(at) == offset(at + AROUND)
}

/// Longer than any change of clocks. One island skipped a whole day.
const AROUND: Duration = Duration::hours(26);

/// A zone's offsets, with a cache for instants that are close to each other.
#[derive(Debug, Clone)]
pub(super) struct Offsets {
    tz: Tz,
    /// The number of the span that was looked up last, and its offset if clocks did not change in it.
    span: Option<(i64, Option<i64>)>,
}

/// Four days in seconds. Since 1970 no zone changed its clocks and changed them back within this time. A test checks
/// it.
pub const SPAN: i64 = 4 * 86_400;

impl Offsets {
    pub(super) fn new(tz: Tz) -> Self {
        Self { tz, span: None }
    }

    /// How many seconds wall clocks are ahead of UTC at `at`, in seconds since 1970.
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

    /// When clocks show a wall-clock time first; the end of the gap if they skip midnight. `offset` is the expected
    /// offset from UTC in seconds; it is used if clocks do not change around the time.
    pub(super) fn first_at(&mut self, local: NaiveDateTime, offset: i64) -> i64 {
        let guess = local.and_utc().timestamp() - offset;
        let no_change = self.at(guess) == offset && self.at(guess - AROUND.num_seconds()) == offset;
        if no_change { guess } else { self.tz.local(local).instant().timestamp() }
    }

    fn look_up(&self, at: i64) -> i64 {
        self.tz.ahead_at(at).into()
    }
}
