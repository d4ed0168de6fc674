//! Pure. What goes wrong, to whom and when: drawn from a seed, so that a run can be repeated.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// How many of each part run.
pub(crate) const WORKERS: usize = 3;
/// See [`WORKERS`].
pub(crate) const APIS: usize = 2;
/// See [`WORKERS`].
pub(crate) const SCHEDULERS: usize = 2;

/// The quiet time at the end, in which what is broken is mended.
const QUIET: Duration = Duration::from_secs(10);

/// A process of the cluster, counted from 0 among its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Api(usize),
    Worker(usize),
    Scheduler(usize),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(n) => write!(f, "api-{}", n + 1),
            Self::Worker(n) => write!(f, "worker-{}", n + 1),
            Self::Scheduler(n) => write!(f, "scheduler-{}", n + 1),
        }
    }
}

/// The far end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Far {
    Redis,
    Postgres,
    WhatsApp,
}

/// What happens to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Connections are reset and refused.
    Cut,
    /// Half open: nothing arrives, nothing is refused.
    Silent,
    /// Everything arrives this much later.
    Slow(Duration),
}

/// What the simulated WhatsApp does wrong; numbers are how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whim {
    Drop(u64),
    StreamError { code: u16, count: u64 },
    Replace(u64),
    Silence { count: u64, lasts: Duration },
    SwallowAcks(u64),
    DelayAcks { by: Duration, lasts: Duration },
    AckError { code: u16, count: u64 },
    RefuseLogins { code: u16, count: u64 },
    DoubleReceipts(u64),
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, and a new process after a while.
    Kill { who: Who, back_after: Duration },
    /// SIGTERM, and a new process when it has ended.
    Restart(Who),
    /// SIGSTOP, and SIGCONT after a while.
    Freeze { who: Who, lasts: Duration },
    /// Every worker is replaced by one of a newer release, one after the other; the new one starts first.
    Roll,
    /// Redis is killed and comes back empty.
    RedisLost { back_after: Duration },
    /// `FLUSHALL`.
    RedisEmptied,
    /// `CLIENT PAUSE`.
    RedisPaused(Duration),
    /// Postgres is stopped ("fast") and started.
    PostgresRestart,
    /// A line between two parts.
    Line { who: Who, far: Far, harm: Harm, lasts: Duration },
    /// WhatsApp.
    WhatsApp(Whim),
}

/// A fault and its time from the start of the campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
}

/// The schedule of a run: every kind comes before one comes again, in an order drawn anew each time.
pub(crate) fn plan(seed: u64, lasts: Duration) -> Vec<Step> {
    let mut dice = StdRng::seed_from_u64(seed);
    let long = lasts > Duration::from_secs(300);
    let gap = if long { 4.0..12.0 } else { 2.5..5.0 };
    let mut steps = Vec::new();
    let mut at = Duration::from_secs(2);
    let mut bag: Vec<usize> = Vec::new();
    while at + QUIET < lasts {
        if bag.is_empty() {
            bag = (0..KINDS).collect();
            bag.shuffle(&mut dice);
        }
        let Some(kind) = bag.pop() else { break };
        let left = lasts.saturating_sub(at + QUIET);
        steps.push(Step { at, fault: draw(kind, long, left, &mut dice) });
        at += Duration::from_secs_f64(dice.random_range(gap.clone()));
    }
    steps
}

const KINDS: usize = 26;

fn draw(kind: usize, long: bool, left: Duration, dice: &mut StdRng) -> Fault {
    let cap = |seconds: f64| Duration::from_secs_f64(seconds).min(left.max(Duration::from_secs(2)));
    let worker = Who::Worker(dice.random_range(0..WORKERS));
    let some = Duration::from_secs_f64(dice.random_range(0.5..4.0));
    let while_ = cap(dice.random_range(4.0..if long { 25.0 } else { 12.0 }));
    let few = dice.random_range(1..6);
    match kind {
        0 | 1 => Fault::Kill { who: worker, back_after: some },
        2 => Fault::Kill { who: Who::Api(dice.random_range(0..APIS)), back_after: some },
        3 => Fault::Kill { who: Who::Scheduler(dice.random_range(0..SCHEDULERS)), back_after: some },
        4 => Fault::Restart(worker),
        5 => Fault::Freeze { who: worker, lasts: cap(dice.random_range(8.0..if long { 60.0 } else { 14.0 })) },
        6 => Fault::Freeze { who: Who::Scheduler(dice.random_range(0..SCHEDULERS)), lasts: while_ },
        7 => Fault::Roll,
        8 => Fault::RedisLost { back_after: some },
        9 => Fault::RedisEmptied,
        10 => Fault::RedisPaused(cap(20.0)),
        11 => Fault::PostgresRestart,
        12 => line(worker, Far::Redis, Harm::Cut, while_),
        13 => line(worker, Far::Redis, Harm::Silent, while_),
        14 => line(worker, Far::Postgres, Harm::Cut, while_),
        15 => line(worker, Far::Postgres, Harm::Silent, while_),
        16 => line(worker, Far::WhatsApp, Harm::Silent, while_),
        17 => {
            let (far, harm) = if dice.random() {
                (Far::WhatsApp, Harm::Cut)
            } else {
                (Far::Postgres, Harm::Slow(Duration::from_millis(50)))
            };
            line(worker, far, harm, while_)
        }
        18 => {
            let far = if dice.random() { Far::Redis } else { Far::Postgres };
            let who = if dice.random() {
                Who::Api(dice.random_range(0..APIS))
            } else {
                Who::Scheduler(dice.random_range(0..SCHEDULERS))
            };
            line(who, far, if dice.random() { Harm::Cut } else { Harm::Silent }, while_)
        }
        19 => Fault::WhatsApp(Whim::Drop(few * 4)),
        20 => Fault::WhatsApp(Whim::StreamError { code: if dice.random() { 515 } else { 503 }, count: few * 2 }),
        21 => Fault::WhatsApp(Whim::Replace(few)),
        22 => Fault::WhatsApp(Whim::SwallowAcks(few * 2)),
        23 => Fault::WhatsApp(Whim::DelayAcks { by: some, lasts: while_ }),
        24 => Fault::WhatsApp(Whim::AckError { code: if dice.random() { 463 } else { 503 }, count: few }),
        _ => Fault::WhatsApp(match dice.random_range(0..3) {
            0 => Whim::Silence { count: few, lasts: while_ },
            1 => Whim::RefuseLogins { code: 503, count: few },
            _ => Whim::DoubleReceipts(few * 10),
        }),
    }
}

fn line(who: Who, far: Far, harm: Harm, lasts: Duration) -> Fault {
    Fault::Line { who, far, harm, lasts }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = Duration::as_secs_f64;
        match self {
            Self::Kill { who, back_after } => write!(f, "SIGKILL {who}, back after {:.1} s", s(back_after)),
            Self::Restart(who) => write!(f, "SIGTERM {who}, and a new one"),
            Self::Freeze { who, lasts } => write!(f, "SIGSTOP {who} for {:.1} s", s(lasts)),
            Self::Roll => f.write_str("a newer release: every worker is replaced, one after the other"),
            Self::RedisLost { back_after } => write!(f, "Redis killed, back empty after {:.1} s", s(back_after)),
            Self::RedisEmptied => f.write_str("Redis FLUSHALL"),
            Self::RedisPaused(lasts) => write!(f, "Redis CLIENT PAUSE {:.1} s", s(lasts)),
            Self::PostgresRestart => f.write_str("Postgres restarts"),
            Self::Line { who, far, harm, lasts } => {
                write!(f, "the line {who} to {far:?} is {harm:?} for {:.1} s", s(lasts))
            }
            Self::WhatsApp(whim) => write!(f, "WhatsApp: {whim:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same seed is the same campaign; another is another.
    #[test]
    fn a_seed_is_a_schedule() {
        let lasts = Duration::from_secs(1_200);
        assert_eq!(plan(7, lasts), plan(7, lasts));
        assert_ne!(plan(7, lasts), plan(8, lasts));
    }

    /// A long run has every kind of fault, and leaves time to mend at its end.
    #[test]
    fn every_kind_comes() {
        let lasts = Duration::from_secs(1_200);
        for seed in 0..20 {
            let steps = plan(seed, lasts);
            let has = |is: fn(&Fault) -> bool| assert!(steps.iter().any(|step| is(&step.fault)), "seed {seed}");
            has(|f| matches!(f, Fault::Kill { who: Who::Worker(_), .. }));
            has(|f| matches!(f, Fault::Freeze { who: Who::Worker(_), .. }));
            has(|f| matches!(f, Fault::Roll));
            has(|f| matches!(f, Fault::RedisPaused(_)));
            has(|f| matches!(f, Fault::PostgresRestart));
            has(|f| matches!(f, Fault::WhatsApp(Whim::AckError { code: 463, .. })));
            assert!(steps.iter().all(|step| step.at + QUIET < lasts));
        }
    }
}
