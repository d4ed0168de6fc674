//! Pure. What a failed attempt means: its cause, when it is repeated, and when a webhook is disabled.

use std::time::Duration;

const HOUR_S: u64 = 60 * 60;
/// The waits after the first, second, third … attempt, in seconds: 12 attempts within a day.
const WAITS_S: [u64; 11] = [1, 5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 21_600, 36_000];
/// A delivery holds back later deliveries of the same account until it has failed this often. That takes 6 s plus the
/// time of the attempts. So a short outage does not change the order, and one event that the receiver can't take does
/// not delay the others for a day.
pub const HOLDS_ATTEMPTS: i32 = 3;
/// How many attempts a delivery gets at least, and how old it must be before it fails. At the end of an outage, waiting
/// deliveries are tried earlier than planned, so the attempts alone may be used up within minutes.
const ATTEMPTS: (i32, Duration) = (12, Duration::from_secs(21 * HOUR_S));
/// The same limits for a delivery that the receiver refuses. The time covers a night during which the receiver was
/// misconfigured.
const REFUSALS: (i32, Duration) = (10, Duration::from_secs(6 * HOUR_S));
/// The wait once all attempts are used and the delivery is not old enough to fail.
const YOUNG_WAIT: Duration = Duration::from_secs(HOUR_S);
/// After this many failures in a row the receiver counts as down. It then gets one attempt at a time, with pauses in
/// between.
pub const DOWN_AFTER: i32 = 5;
/// The longest pause before a receiver that is down is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// After an outage of at least this long, all waiting deliveries are tried at once. After a shorter one nothing waits
/// for long, and a receiver that merely limits its rate should not get them all at once.
pub const OUTAGE_MIN: Duration = Duration::from_secs(5 * 60);
/// A webhook is disabled when no attempt has succeeded for this long.
pub const DISABLED_AFTER: Duration = Duration::from_secs(3 * 24 * HOUR_S);
/// The shortest and longest wait that a receiver can ask for with `Retry-After`. Without that header, the shortest is
/// used.
const RATE_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10 * 60));

/// The cause of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The receiver can't be reached or has an error.
    Receiver,
    /// The receiver limits its rate: nothing is sent to it for this long.
    Rate(Duration),
    /// The receiver refuses this event. Others may succeed.
    Event,
    /// The receiver wants no more events at all.
    Gone,
}

/// The cause of a failed attempt by the status of the answer, `None` if there was none. A 4xx means that this event is
/// refused, except 408, 410, 425 and 429 (RFC 9110, RFC 8470 and RFC 6585). `retry_after` is the wait that the answer
/// asked for.
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

/// What happens to a delivery after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The number of attempts that count, including this one.
    pub attempts: i32,
    /// The wait until the next attempt; `None` if the delivery has failed for good.
    pub again_in: Option<Duration>,
    /// Whether later deliveries of the same account wait for it.
    pub holds: bool,
}

/// The verdict on a delivery of this age that had `before` attempts before this one. A rate limit does not count as an
/// attempt. A refused event holds back no other delivery. `luck` (0 to 1) varies the wait by up to a tenth in both
/// directions, so that a receiver that comes back does not get all deliveries at once.
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
        // counts if the webhook is enabled again
        Fault::Gone => Verdict { attempts, again_in: Some(wait(attempts)), holds: attempts < HOLDS_ATTEMPTS },
    }
}

/// The wait after this many attempts.
fn wait(attempts: i32) -> Duration {
    let last = WAITS_S.len() - 1;
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(last);
    Duration::from_secs(WAITS_S.get(index).copied().unwrap_or(HOUR_S))
}

/// How long nothing is sent to a receiver after `failures` in a row.
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

    /// The life of a delivery that always fails: its attempts, and its age at the last one.
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

    /// R63: attempts are repeated for about a day at growing intervals, then the delivery fails; refused ones are
    /// repeated for a night.
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

    /// R63: a young delivery does not fail, even if all its attempts were used up within minutes, as happens at the
    /// ends of outages.
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

    /// R63: a rate limit does not use up an attempt and does not change the order. After a day the delivery fails all
    /// the same.
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
