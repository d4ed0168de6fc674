//! Pure. When an attempt that failed is repeated, and when a webhook is left alone.

use std::time::Duration;

/// The waits after the first, second, third … attempt, in seconds: 12 attempts within a day.
const WAITS_S: [u64; 11] = [1, 5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 21_600, 36_000];
/// A delivery holds those behind it of the same account until it has failed this often, about half a minute: order outlives
/// a hiccup, and one event that the receiver can't take does not hold up the others for a day.
pub const HOLDS_ATTEMPTS: i32 = 3;
/// After so many failures in a row the receiver counts as down: it gets one attempt at a time, and pauses between.
pub const DOWN_AFTER: i32 = 5;
/// The longest pause before a receiver that is down is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A webhook none of whose attempts has succeeded for so long is disabled.
pub const DISABLED_AFTER: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// How long to wait after `attempts` failed ones; none: it has failed for good. `luck` (0 to 1) spreads the waits by a
/// tenth to either side, so that a receiver that comes back is not met by all at once.
#[must_use]
pub fn wait(attempts: i32, luck: f64) -> Option<Duration> {
    let index = usize::try_from(attempts).ok()?.checked_sub(1)?;
    let seconds = *WAITS_S.get(index)?;
    Some(Duration::from_secs(seconds).mul_f64(0.9 + 0.2 * luck.clamp(0.0, 1.0)))
}

/// How long a receiver is left alone after `failures` in a row.
#[must_use]
pub fn pause(failures: i32) -> Duration {
    let beyond = u32::try_from(failures.saturating_sub(DOWN_AFTER)).unwrap_or(0);
    if failures < DOWN_AFTER {
        return Duration::ZERO;
    }
    Duration::from_secs(1 << beyond.min(6)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R63: an attempt is repeated for about a day, ever more rarely, and then has failed.
    #[test]
    fn attempts_are_spread_over_a_day() {
        let waits: Vec<_> = (1..).map_while(|attempts| wait(attempts, 0.5)).collect();
        assert_eq!(waits.len(), 11);
        assert!(waits.is_sorted());
        let whole: Duration = waits.iter().sum();
        let hours = whole.as_secs() / 3_600;
        assert!((22..=25).contains(&hours), "{hours} hours");
        for luck in [-1.0, 0.0, 0.5, 1.0, 2.0] {
            let seconds = wait(3, luck).unwrap().as_secs_f64();
            assert!((26.9..=33.1).contains(&seconds), "{seconds}");
        }
        for attempts in [i32::MIN, -1, 0, 12, i32::MAX] {
            assert_eq!(wait(attempts, 0.5), None, "{attempts}");
        }
    }

    #[test]
    fn a_receiver_that_is_down_is_left_alone_ever_longer() {
        let seconds: Vec<u64> = (3..14).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause(i32::MAX), PAUSE_MAX);
        assert_eq!(pause(i32::MIN), Duration::ZERO);
    }
}
