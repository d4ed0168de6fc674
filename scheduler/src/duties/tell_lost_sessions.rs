//! Reports sessions whose worker is gone: an account that is `connected` and has no live owner becomes `disconnected`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use store::accounts;
use store::workers;

use async_trait::async_trait;
use process::clock::BootTime;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// The most accounts of one transaction.
const BATCH: usize = 500;

/// After a start, or after Postgres was unreachable, workers get one heartbeat and this margin to report that they are
/// alive, because they could not do so before.
const MARGIN: Duration = Duration::from_secs(1);

/// The duty. Sessions lost while no scheduler ran are reported soon after the next scheduler starts.
#[derive(Default)]
pub struct TellLostSessions {
    /// When Postgres first answered without a gap since, and when it answered last.
    answered: Mutex<Option<(BootTime, BootTime)>>,
}

impl TellLostSessions {
    /// Records that Postgres answers. Returns whether it has answered for long enough: one heartbeat and the margin.
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

    /// R90: nothing is reported right after a start or right after Postgres was unreachable, because workers could not
    /// report that they are alive.
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
