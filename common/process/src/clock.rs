//! The clocks: the wall clock for people, and a clock that also counts suspended time, for trust.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The wall clock. Decisions that several processes must agree on use the database's `now()` instead.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> DateTime<Utc> {
    let now = Utc::now();
    #[cfg(feature = "skew")]
    let now = now + chrono::TimeDelta::seconds(SKEW_S.load(std::sync::atomic::Ordering::Relaxed));
    now
}

/// By how many seconds [`now`] is wrong; 0 except in fault campaigns.
#[cfg(feature = "skew")]
static SKEW_S: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

/// Makes this process's wall clock wrong, as on an unsynchronised machine. Fault campaigns use it to show that nothing
/// relies on clocks that agree.
#[cfg(feature = "skew")]
pub fn skew(seconds: i64) {
    SKEW_S.store(seconds, std::sync::atomic::Ordering::Relaxed);
}

/// An instant on `CLOCK_BOOTTIME`. Unlike `Instant` it counts the time in which the machine was suspended, and unlike
/// the wall clock it is never set back. The trust in a lease uses this clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    /// The current instant.
    #[must_use]
    pub fn now() -> Self {
        #[cfg(target_os = "linux")]
        let clock = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(clock);
        Self(Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0)))
    }

    /// The instant this long after the machine's boot, for tests and tables.
    #[must_use]
    pub const fn at(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// How long ago `earlier` was; zero if it is in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0 + rhs)
    }
}
