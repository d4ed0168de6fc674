//! Tells of sessions whose worker is gone: what says `connected` and has no living owner becomes `disconnected`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use store::accounts;
use store::workers;

use async_trait::async_trait;
use process::clock::BootTime;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// Accounts of one transaction.
const BATCH: usize = 500;

/// After a start, or a time without Postgres, workers get one heartbeat and this to say that they live: they could not before
/// either.
const MARGIN: Duration = Duration::from_secs(1);

/// The duty. What was lost while no scheduler ran is told soon after the start of the next.
#[derive(Default)]
pub struct TellLostSessions {
    /// When Postgres answered first without a gap, and last.
    answered: Mutex<Option<(BootTime, BootTime)>>,
}

impl TellLostSessions {
    /// Notes that Postgres answers, and says whether it has for long enough: `heartbeat` and a margin.
    fn is_settled(&self, now: BootTime, heartbeat: Duration) -> bool {
        let grace = heartbeat + MARGIN;
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let since = answered.filter(|(_, last)| now.since(*last) < grace).map_or(now, |(first, _)| first);
        *answered = Some((since, now));
        now.since(since) >= grace
    }
}

#[async_trait]
impl Duty for TellLostSessions {
    fn name(&self) -> &'static str {
        "tell_lost_sessions"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let heartbeat = workers::longest_heartbeat(context.store.pool()).await?;
        if !self.is_settled(BootTime::now(), heartbeat) {
            return Ok(Round::of(0));
        }
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let told = accounts::tell_lost_sessions(context.store.for_all_tenants(), limit).await?;
        let done = context.announce(told).await.len();
        Ok(Round { done, next_in: (done == BATCH).then_some(Duration::ZERO) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R90: nothing is told right after a start, nor right after a time without Postgres: workers could not say that they live.
    #[test]
    fn workers_get_time_to_say_that_they_live() {
        let duty = TellLostSessions::default();
        let settled = |duty: &TellLostSessions, heartbeat, seconds| {
            duty.is_settled(BootTime::at(Duration::from_secs(seconds)), Duration::from_secs(heartbeat))
        };
        let told = [100, 102, 104, 106, 108, 130, 132, 134, 136, 138].map(|seconds| settled(&duty, 5, seconds));
        assert_eq!(told, [false, false, false, true, true, false, false, false, true, true]);
        let slow = TellLostSessions::default();
        let told = [100, 106, 112, 118, 120, 122].map(|seconds| settled(&slow, 20, seconds));
        assert_eq!(told, [false, false, false, false, false, true]);
    }
}
