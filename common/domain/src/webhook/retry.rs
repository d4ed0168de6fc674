//! Pure. What an attempt that failed means: whose fault it is, when it is repeated, and when a webhook is left alone.

use std::time::Duration;

const HOUR_S: u64 = 60 * 60;
/// The waits after the first, second, third … attempt, in seconds: 12 attempts within a day.
const WAITS_S: [u64; 11] = [1, 5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 21_600, 36_000];
/// A delivery holds those behind it of the same account until it has failed this often, about half a minute: order outlives
/// a hiccup, and one event that the receiver can't take does not hold up the others for a day.
pub const HOLDS_ATTEMPTS: i32 = 3;
/// Attempts until a delivery may fail, and how old it must be: outages that end have it tried more often than planned.
const ATTEMPTS: (i32, Duration) = (12, Duration::from_secs(21 * HOUR_S));
/// The same for one that is refused: long enough for a night in which the receiver was set up wrong.
const REFUSALS: (i32, Duration) = (10, Duration::from_secs(6 * HOUR_S));
/// The wait when all attempts are used and the delivery is young.
const YOUNG_WAIT: Duration = Duration::from_secs(HOUR_S);
/// After so many failures in a row the receiver counts as down: it gets one attempt at a time, and pauses between.
pub const DOWN_AFTER: i32 = 5;
/// The longest pause before a receiver that is down is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A receiver that is back after so long gets all that waits at once. After less nothing waits for long, and a receiver that
/// merely limits its rate is not to be met by all at once.
pub const OUTAGE_MIN: Duration = Duration::from_secs(5 * 60);
/// A webhook none of whose attempts has succeeded for so long is disabled.
pub const DISABLED_AFTER: Duration = Duration::from_secs(3 * 24 * HOUR_S);
/// The wait that a receiver may ask for (`Retry-After`); the first is what one that names none gets.
const RATE_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10 * 60));

/// Whose fault it is that an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The receiver is not there, or not well.
    Receiver,
    /// The receiver takes so much at a time: it is to be left alone for this long.
    Rate(Duration),
    /// The receiver refuses this very event; others may go well.
    Event,
    /// The receiver wants no more, ever.
    Gone,
}

/// Whose fault an answer is, or that there was none: a 4xx is the event's, but for those that RFC 9110, RFC 8470 and RFC 6585
/// give for time and rate. `retry_after` is what the answer asked for.
#[must_use]
pub fn fault(status: Option<u16>, retry_after: Option<Duration>) -> Fault {
    let (least, most) = RATE_WAIT;
    match (status, retry_after) {
        (Some(429), wait) | (Some(503), wait @ Some(_)) => Fault::Rate(wait.unwrap_or(least).clamp(least, most)),
        (Some(410), _) => Fault::Gone,
        (Some(status @ 400..=499), _) if status != 408 && status != 425 => Fault::Event,
        _ => Fault::Receiver,
    }
}

/// What becomes of a delivery after an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Attempts that count, with this one.
    pub attempts: i32,
    /// When the next comes; none: it has failed for good.
    pub again_in: Option<Duration>,
    /// Those behind it in its lane wait for it.
    pub holds: bool,
}

/// The verdict on a delivery of this age, after so many attempts before this one. One that met a limit of the rate is as it
/// was; one that was refused holds nobody up. `luck` (0 to 1) spreads the waits by a tenth to either side, so that a receiver
/// that comes back is not met by all at once.
#[must_use]
pub fn verdict(fault: Fault, before: i32, age: Duration, luck: f64) -> Verdict {
    let attempts = before.saturating_add(1);
    let planned = |(most, oldest): (i32, Duration)| {
        let wait = if attempts < most { wait(attempts) } else { YOUNG_WAIT };
        (attempts < most || age < oldest).then(|| wait.mul_f64(0.9 + 0.2 * luck.clamp(0.0, 1.0)))
    };
    let holds = |attempts: i32, again_in: Option<Duration>| again_in.is_some() && attempts < HOLDS_ATTEMPTS;
    match fault {
        Fault::Rate(wait) => {
            let again_in = (age < ATTEMPTS.1).then_some(wait);
            Verdict { attempts: before, again_in, holds: holds(before, again_in) }
        }
        Fault::Event => Verdict { attempts, again_in: planned(REFUSALS), holds: false },
        Fault::Receiver => {
            let again_in = planned(ATTEMPTS);
            Verdict { attempts, again_in, holds: holds(attempts, again_in) }
        }
        // for when somebody enables the webhook again
        Fault::Gone => Verdict { attempts, again_in: Some(wait(attempts)), holds: attempts < HOLDS_ATTEMPTS },
    }
}

/// The wait after this many attempts.
fn wait(attempts: i32) -> Duration {
    let last = WAITS_S.len() - 1;
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(last);
    Duration::from_secs(WAITS_S.get(index).copied().unwrap_or(HOUR_S))
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

    /// How a delivery goes that fails at each attempt: the attempts, and its age at the last.
    fn life(fault: Fault) -> (i32, Duration) {
        let (mut attempts, mut age) = (0, Duration::ZERO);
        loop {
            let verdict = verdict(fault, attempts, age, 0.5);
            attempts = verdict.attempts;
            let Some(wait) = verdict.again_in else { return (attempts, age) };
            assert_eq!(verdict.holds, fault == Fault::Receiver && attempts < HOLDS_ATTEMPTS, "{attempts}");
            age += wait;
        }
    }

    /// R63: an attempt is repeated for about a day, ever more rarely, and then has failed; a refused one for a night.
    #[test]
    fn attempts_are_spread_over_a_day() {
        let (attempts, age) = life(Fault::Receiver);
        assert_eq!((attempts, age.as_secs() / HOUR_S), (12, 23));
        let (attempts, age) = life(Fault::Event);
        assert_eq!((attempts, age.as_secs() / HOUR_S), (10, 7));
        for luck in [-1.0, 0.0, 0.5, 1.0, 2.0] {
            let seconds = verdict(Fault::Receiver, 2, Duration::ZERO, luck).again_in.unwrap().as_secs_f64();
            assert!((26.9..=33.1).contains(&seconds), "{seconds}");
        }
        for before in [i32::MIN, -1, 0] {
            assert!(verdict(Fault::Receiver, before, ATTEMPTS.1, 0.5).again_in.is_some(), "{before}");
        }
        assert_eq!(verdict(Fault::Receiver, i32::MAX, ATTEMPTS.1, 0.5).again_in, None);
    }

    /// R63: attempts that were used up in minutes, as each end of an outage has all that waits tried at once, fail nothing.
    #[test]
    fn what_is_young_does_not_fail() {
        let young = Duration::from_secs(5 * HOUR_S);
        for fault in [Fault::Receiver, Fault::Event, Fault::Rate(Duration::from_secs(1)), Fault::Gone] {
            for before in [11, 12, 50, i32::MAX] {
                let again_in = verdict(fault, before, young, 0.5).again_in;
                assert!(again_in.is_some_and(|wait| wait > Duration::ZERO), "{fault:?} {before}");
            }
        }
    }

    /// R63: a limit of the rate costs no attempt, and order is kept through it; after a day it ends all the same.
    #[test]
    fn a_limit_of_the_rate_costs_nothing() {
        let limited = fault(Some(429), Some(Duration::from_secs(7)));
        let day = Duration::from_secs(24 * HOUR_S);
        let again = Verdict { attempts: 2, again_in: Some(Duration::from_secs(7)), holds: true };
        assert_eq!(verdict(limited, 2, Duration::from_secs(HOUR_S), 0.0), again);
        assert_eq!(verdict(limited, 2, day, 0.0), Verdict { attempts: 2, again_in: None, holds: false });
    }

    #[test]
    fn an_answer_tells_whose_fault_it_is() {
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(24 * HOUR_S));
        for (status, asked, whose) in [
            (None, None, Fault::Receiver),
            (Some(302), None, Fault::Receiver),
            (Some(400), Some(day), Fault::Event),
            (Some(404), None, Fault::Event),
            (Some(408), None, Fault::Receiver),
            (Some(410), None, Fault::Gone),
            (Some(422), None, Fault::Event),
            (Some(425), None, Fault::Receiver),
            (Some(429), None, Fault::Rate(second)),
            (Some(429), Some(Duration::ZERO), Fault::Rate(second)),
            (Some(429), Some(day), Fault::Rate(RATE_WAIT.1)),
            (Some(500), Some(day), Fault::Receiver),
            (Some(503), None, Fault::Receiver),
            (Some(503), Some(second * 9), Fault::Rate(second * 9)),
        ] {
            assert_eq!(fault(status, asked), whose, "{status:?} {asked:?}");
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
