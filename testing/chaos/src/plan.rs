//! Pure. The plan of faults: what goes wrong, where and when. It is drawn from a seed, so that a run can be repeated.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// The number of workers.
pub(crate) const WORKERS: usize = 3;
/// The number of apis.
pub(crate) const APIS: usize = 2;
/// The number of schedulers.
pub(crate) const SCHEDULERS: usize = 2;

/// The time without new faults at the end, in which everything is repaired.
const QUIET: Duration = Duration::from_secs(10);

/// A part of the cluster, counted from 0 among its kind.
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

/// The far end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Far {
    Redis,
    Postgres,
    WhatsApp,
}

/// A fault of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Open connections are reset, and new ones are refused.
    Cut,
    /// Half open: nothing arrives, and nothing is refused.
    Silent,
    /// Everything arrives with this delay.
    Slow(Duration),
}

/// A fault of an open socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    Drop,
    StreamError(u16),
    Replace,
    Silence(Duration),
}

/// A fault of the simulated WhatsApp. Counts say how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whim {
    /// A fault of open sockets. With `pairing`, sockets of pairings are hit first. `pick` chooses the others
    /// ([`targets`]).
    Strike {
        blow: Blow,
        count: u64,
        pairing: bool,
        pick: u64,
    },
    SwallowAcks(u64),
    DelayAcks {
        by: Duration,
        lasts: Duration,
    },
    AckError {
        code: u16,
        count: u64,
    },
    RefuseLogins {
        code: u16,
        count: u64,
    },
    DoubleReceipts(u64),
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, and a new process after a while.
    Kill { who: Who, back_after: Duration },
    /// SIGTERM, and a new process after the end of the old one.
    Restart(Who),
    /// SIGSTOP, and SIGCONT after a while.
    Freeze { who: Who, lasts: Duration },
    /// Every worker is replaced by one of a newer release, one after the other. The new one starts first.
    Roll,
    /// Redis is killed and comes back empty.
    RedisLost { back_after: Duration },
    /// `FLUSHALL`.
    RedisEmptied,
    /// `CLIENT PAUSE`.
    RedisPaused(Duration),
    /// Postgres is stopped ("fast") and started.
    PostgresRestart,
    /// A fault of the connection between two parts.
    Line { who: Who, far: Far, harm: Harm, lasts: Duration },
    /// A fault of WhatsApp.
    WhatsApp(Whim),
}

/// A fault and its time after the start of the campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
}

/// How many seconds a wall clock is wrong: five minutes, fast or slow.
pub(crate) fn skew_s(seed: u64) -> i64 {
    if seed.is_multiple_of(2) { 300 } else { -300 }
}

/// The order in which a strike tries its targets until it has hit enough: the indices below `of`, shuffled.
pub(crate) fn targets(pick: u64, of: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..of).collect();
    places.shuffle(&mut StdRng::seed_from_u64(pick));
    places
}

/// Draws the schedule of a run. Every kind of fault occurs before one occurs again, and the order is drawn anew each
/// time.
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

const KINDS: usize = 35;

fn draw(kind: usize, long: bool, left: Duration, dice: &mut StdRng) -> Fault {
    let cap = |seconds: f64| Duration::from_secs_f64(seconds).min(left.max(Duration::from_secs(2)));
    let worker = Who::Worker(dice.random_range(0..WORKERS));
    let api = Who::Api(dice.random_range(0..APIS));
    let scheduler = Who::Scheduler(dice.random_range(0..SCHEDULERS));
    let other = if dice.random() { api } else { scheduler };
    let some = Duration::from_secs_f64(dice.random_range(0.5..4.0));
    let while_ = cap(dice.random_range(4.0..if long { 25.0 } else { 12.0 }));
    let few = dice.random_range(1..6);
    match kind {
        0 | 1 => Fault::Kill { who: worker, back_after: some },
        2 => Fault::Kill { who: api, back_after: some },
        3 => Fault::Kill { who: scheduler, back_after: some },
        4 => Fault::Restart(worker),
        5 => Fault::Freeze { who: worker, lasts: cap(dice.random_range(8.0..if long { 60.0 } else { 14.0 })) },
        6 => Fault::Freeze { who: scheduler, lasts: while_ },
        7 => Fault::Freeze { who: api, lasts: while_ },
        8 => Fault::Roll,
        9 => Fault::RedisLost { back_after: some },
        10 => Fault::RedisEmptied,
        11 => Fault::RedisPaused(cap(20.0)),
        12 => Fault::PostgresRestart,
        13 => line(worker, Far::Redis, Harm::Cut, while_),
        14 => line(worker, Far::Redis, Harm::Silent, while_),
        15 => line(worker, Far::Postgres, Harm::Cut, while_),
        16 => line(worker, Far::Postgres, Harm::Silent, while_),
        17 => line(worker, Far::Postgres, Harm::Slow(Duration::from_millis(50)), while_),
        18 => line(worker, Far::WhatsApp, Harm::Cut, while_),
        19 => line(worker, Far::WhatsApp, Harm::Silent, while_),
        20 => line(other, Far::Redis, Harm::Cut, while_),
        21 => line(other, Far::Redis, Harm::Silent, while_),
        22 => line(other, Far::Postgres, Harm::Cut, while_),
        23 => line(other, Far::Postgres, Harm::Silent, while_),
        24 => strike(Blow::Drop, few * 4, dice),
        25 => strike(Blow::StreamError(515), few * 2, dice),
        26 => strike(Blow::StreamError(503), few * 2, dice),
        27 => strike(Blow::Replace, few, dice),
        28 => strike(Blow::Silence(while_), few, dice),
        29 => Fault::WhatsApp(Whim::SwallowAcks(few * 2)),
        30 => Fault::WhatsApp(Whim::DelayAcks { by: some, lasts: while_ }),
        31 => Fault::WhatsApp(Whim::AckError { code: 463, count: few }),
        32 => Fault::WhatsApp(Whim::AckError { code: 503, count: few }),
        33 => Fault::WhatsApp(Whim::RefuseLogins { code: 503, count: few }),
        _ => Fault::WhatsApp(Whim::DoubleReceipts(few * 10)),
    }
}

/// Some strikes that end sockets hit pairings that are under way.
fn strike(blow: Blow, count: u64, dice: &mut StdRng) -> Fault {
    let pairing = matches!(blow, Blow::Drop | Blow::StreamError(_)) && dice.random_bool(0.4);
    Fault::WhatsApp(Whim::Strike { blow, count, pairing, pick: dice.random() })
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
    use std::collections::BTreeSet;

    use super::*;

    /// The same seed gives the same schedule; another seed gives another.
    #[test]
    fn a_seed_is_a_schedule() {
        let lasts = Duration::from_secs(1_200);
        assert_eq!(plan(7, lasts), plan(7, lasts));
        assert_ne!(plan(7, lasts), plan(8, lasts));
    }

    /// The kind of a fault, without its exact target, count and duration.
    fn kind(fault: &Fault) -> String {
        let sort = |who: &Who| match who {
            Who::Api(_) => "api",
            Who::Worker(_) => "worker",
            Who::Scheduler(_) => "scheduler",
        };
        match fault {
            Fault::Kill { who, .. } => format!("kill {}", sort(who)),
            Fault::Restart(who) => format!("restart {}", sort(who)),
            Fault::Freeze { who, .. } => format!("freeze {}", sort(who)),
            Fault::Roll => "roll".to_owned(),
            Fault::RedisLost { .. } => "Redis lost".to_owned(),
            Fault::RedisEmptied => "Redis emptied".to_owned(),
            Fault::RedisPaused(_) => "Redis paused".to_owned(),
            Fault::PostgresRestart => "Postgres restart".to_owned(),
            Fault::Line { who, far, harm, .. } => {
                let who = if matches!(who, Who::Worker(_)) { "worker" } else { "other" };
                format!("{who} {far:?} {harm:?}")
            }
            Fault::WhatsApp(Whim::Strike { blow: Blow::Silence(_), .. }) => "Silence".to_owned(),
            Fault::WhatsApp(Whim::Strike { blow, .. }) => format!("{blow:?}"),
            Fault::WhatsApp(Whim::SwallowAcks(_)) => "swallow".to_owned(),
            Fault::WhatsApp(Whim::DelayAcks { .. }) => "delay".to_owned(),
            Fault::WhatsApp(Whim::AckError { code, .. }) => format!("ack {code}"),
            Fault::WhatsApp(Whim::RefuseLogins { code, .. }) => format!("refuse {code}"),
            Fault::WhatsApp(Whim::DoubleReceipts(_)) => "double".to_owned(),
        }
    }

    const ALL: [&str; 34] = [
        "kill worker",
        "kill api",
        "kill scheduler",
        "restart worker",
        "freeze worker",
        "freeze api",
        "freeze scheduler",
        "roll",
        "Redis lost",
        "Redis emptied",
        "Redis paused",
        "Postgres restart",
        "worker Redis Cut",
        "worker Redis Silent",
        "worker Postgres Cut",
        "worker Postgres Silent",
        "worker Postgres Slow(50ms)",
        "worker WhatsApp Cut",
        "worker WhatsApp Silent",
        "other Redis Cut",
        "other Redis Silent",
        "other Postgres Cut",
        "other Postgres Silent",
        "Drop",
        "StreamError(515)",
        "StreamError(503)",
        "Replace",
        "Silence",
        "swallow",
        "delay",
        "ack 463",
        "ack 503",
        "refuse 503",
        "double",
    ];

    /// A long run has every kind of fault, and leaves time for repairs at its end.
    #[test]
    fn every_kind_comes() {
        let lasts = Duration::from_secs(1_200);
        let all: BTreeSet<String> = ALL.iter().map(|kind| (*kind).to_owned()).collect();
        for seed in 0..20 {
            let steps = plan(seed, lasts);
            let came: BTreeSet<String> = steps.iter().map(|step| kind(&step.fault)).collect();
            assert_eq!(came, all, "seed {seed}");
            assert!(steps.iter().all(|step| step.at + QUIET < lasts));
        }
    }

    /// A short run has only some kinds of faults; several short runs together have all.
    #[test]
    fn short_runs_together_have_every_kind() {
        let steps = (0..20).flat_map(|seed| plan(seed, Duration::from_secs(72)));
        let came: BTreeSet<String> = steps.map(|step| kind(&step.fault)).collect();
        assert_eq!(came.len(), ALL.len());
    }

    /// Strikes hit different sockets, some of them while they pair. Clocks are fast or slow.
    #[test]
    fn targets_and_clocks_are_drawn() {
        assert_eq!(targets(1, 88), targets(1, 88));
        assert_ne!(targets(1, 88), targets(2, 88));
        assert_eq!(targets(1, 88).into_iter().collect::<BTreeSet<_>>().len(), 88);
        let strikes: Vec<(bool, u64)> = plan(1, Duration::from_secs(1_200))
            .iter()
            .filter_map(|step| match step.fault {
                Fault::WhatsApp(Whim::Strike { pairing, pick, .. }) => Some((pairing, pick)),
                _ => None,
            })
            .collect();
        let picks: BTreeSet<u64> = strikes.iter().map(|strike| strike.1).collect();
        assert_eq!(picks.len(), strikes.len());
        assert!(strikes.iter().any(|strike| strike.0) && strikes.iter().any(|strike| !strike.0));
        assert_eq!((skew_s(2), skew_s(3)), (300, -300));
    }
}
