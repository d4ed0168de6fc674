//! Pure. Late occurrences: which of them fire and which are missed. Also decides about runs that would overlap.

use chrono::{DateTime, Duration, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use schedule::Error;

/// An occurrence that fires later than this is late.
pub const LATE: Duration = Duration::seconds(60);
/// The catch-up window of a reminder that sets none, in seconds.
pub const DEFAULT_WINDOW_S: i32 = 3_600;
/// The allowed catch-up windows, in seconds.
pub const WINDOW_S: std::ops::RangeInclusive<i32> = 60..=86_400;
/// The highest number of late occurrences that fire at once, and of runs that wait for an earlier one.
pub const MOST: usize = 10;
/// The highest number of occurrences before the window that are listed. A rule fires at most every five minutes, so
/// these are at least eight hours.
const COUNTED: usize = 100;
/// The highest number of occurrences within the window that are listed: a day of them, every five minutes, and some.
const WITHIN: usize = 300;

/// What happens to occurrences that came due while nobody could fire them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum Misfire {
    /// The newest within the catch-up window fires.
    #[default]
    Latest,
    /// The newest ten within the catch-up window fire, one after the other.
    All,
    /// None that is more than a minute late fires.
    Skip,
}

impl Misfire {
    /// The value in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::All => "all",
            Self::Skip => "skip",
        }
    }
}

/// What happens to an occurrence that comes due while the previous run is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum Overlap {
    /// It is missed.
    #[default]
    Skip,
    /// It waits until the previous run has ended. At most ten wait.
    Queue,
    /// Both go on.
    Allow,
}

impl Overlap {
    /// The value in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Allow => "allow",
        }
    }
}

/// Why an occurrence does not fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It came due before the catch-up window.
    TooLate,
    /// It is late, and the reminder sends nothing late.
    Late,
    /// It is late, and a newer one fires in its place.
    Superseded,
    /// The previous run is in progress.
    Overlap,
    /// The highest allowed number of runs is waiting already.
    QueueFull,
}

impl Why {
    /// All reasons.
    pub const ALL: [Self; 5] = [Self::TooLate, Self::Late, Self::Superseded, Self::Overlap, Self::QueueFull];

    /// The reason in words for a person.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::TooLate => "it came due too long ago (`catchup_window_s`)",
            Self::Late => "it was late, and nothing is sent late (`misfire`: `skip`)",
            Self::Superseded => "it was late, and a newer one is sent in its place",
            Self::Overlap => "the run before was still in progress (`overlap`: `skip`)",
            Self::QueueFull => "ten runs wait for the one before already",
        }
    }

    /// The reason in one word, for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLate => "too_late",
            Self::Late => "late",
            Self::Superseded => "superseded",
            Self::Overlap => "overlap",
            Self::QueueFull => "queue_full",
        }
    }
}

/// Due occurrences, divided into those that fire and those that are missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sorted {
    /// Fire now, in order.
    pub fire: Vec<DateTime<Utc>>,
    /// Are missed, in order.
    pub missed: Vec<(DateTime<Utc>, Why)>,
    /// More occurrences are missed than are listed.
    pub uncounted: bool,
    /// The first occurrence after now; `None` if there is none.
    pub next: Result<Option<DateTime<Utc>>, Error>,
}

/// Divides the occurrences from `first` until `now`. `next` returns the first occurrence strictly after an instant.
/// Once `enough` returns true, no more are listed: only the newest one is looked up, and the others count as missed.
pub fn sort(
    first: DateTime<Utc>,
    now: DateTime<Utc>,
    (misfire, window): (Misfire, TimeDelta),
    mut next: impl FnMut(DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Error>,
    enough: impl Fn() -> bool,
) -> Sorted {
    let opens = now - window;
    let (mut missed, mut within, mut uncounted, mut cut) = (Vec::new(), Vec::new(), false, false);
    let mut at = Ok(Some(first));
    while let Ok(Some(due)) = at
        && due < opens
    {
        missed.push((due, Why::TooLate));
        let full = missed.len() >= COUNTED || enough();
        at = next(due);
        if full && matches!(at, Ok(Some(due)) if due < opens) {
            uncounted = true;
            at = next(opens - TimeDelta::microseconds(1));
        }
    }
    while let Ok(Some(due)) = at
        && due <= now
    {
        within.push(due);
        at = next(due);
        if let Ok(Some(due)) = at
            && due <= now
            && (within.len() >= WITHIN || enough())
        {
            (uncounted, cut) = (true, true);
            at = newest(due, now, &mut next).and_then(|newest| {
                within.push(newest);
                next(now)
            });
        }
    }
    let (from, why) = match misfire {
        Misfire::Latest => (within.len().saturating_sub(1), Why::Superseded),
        Misfire::All if cut => (within.len().saturating_sub(1), Why::Superseded),
        Misfire::All => (within.len().saturating_sub(MOST), Why::Superseded),
        Misfire::Skip => (within.partition_point(|due| now - *due > LATE), Why::Late),
    };
    let fire = within.split_off(from);
    missed.extend(within.into_iter().map(|due| (due, why)));
    Sorted { fire, missed, uncounted, next: at }
}

/// The newest occurrence until `now`, starting from the occurrence `first`. Found by bisection: `next(t) > now` is true
/// exactly if `t` is not before it.
fn newest(
    first: DateTime<Utc>,
    now: DateTime<Utc>,
    next: &mut impl FnMut(DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Error>,
) -> Result<DateTime<Utc>, Error> {
    let (mut newest, mut past) = (first, now);
    // two occurrences are at least five minutes apart
    while past - newest > LATE {
        let middle = newest + (past - newest) / 2;
        match next(middle)? {
            Some(at) if at <= now => newest = at,
            _ => past = middle,
        }
    }
    Ok(newest)
}

impl Sorted {
    /// Applies the reminder's rule for overlapping runs. `open` is the number of its runs that are in progress or
    /// waiting.
    #[must_use]
    pub fn beside(mut self, overlap: Overlap, open: usize) -> Self {
        let (room, why) = match overlap {
            Overlap::Allow => return self,
            Overlap::Skip if open == 0 => return self,
            Overlap::Skip => (0, Why::Overlap),
            Overlap::Queue => (MOST.saturating_sub(open), Why::QueueFull),
        };
        let left = self.fire.split_off(room.min(self.fire.len()));
        self.missed.extend(left.into_iter().map(|due| (due, why)));
        self
    }
}
