//! The end of a worker's sessions: in order and in slices, or cut off.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::id::AccountId;
use tokio_util::sync::CancellationToken;

use super::balance::size;
use super::supervisor::Supervisor;

/// How long sessions that were cut off get to end.
const CUTTING: Duration = Duration::from_secs(2);
/// For the last slice of a stop: what is on its way to be acknowledged, and the socket to close.
const LAST_SLICE: Duration = Duration::from_secs(13);

/// How the sessions of a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Each in its order; no socket is open.
    InOrder,
    /// Some were cut off; no socket is open, what they had on its way goes out again with the same ids.
    CutOff,
    /// Some have not ended: a socket may be open still.
    Left,
}

impl Supervisor {
    /// Stops claiming, closes every session in order, gives every account back; waits at most `deadline`, and not at all
    /// once `at_once` is cancelled. What is left then is cut off. Sessions end in slices of `per_s` each second (0: all at
    /// once), as fast as the cluster may connect: whose turn has not come stays online. The last slice begins
    /// early enough to end in order; those that are not online end first and at once.
    pub async fn stop(&self, deadline: Duration, per_s: u32, at_once: &CancellationToken) -> Stopped {
        self.0.stopping.store(true, Ordering::Release);
        self.0.tasks.close();
        self.0.actors.close();
        let in_order = tokio::select! {
            biased;
            () = self.release_all(deadline.saturating_sub(LAST_SLICE).max(deadline / 4), per_s) => true,
            () = at_once.cancelled() => false,
            () = tokio::time::sleep(deadline) => false,
        };
        if in_order {
            return Stopped::InOrder;
        }
        tracing::warn!(left = self.held().len(), "not every session closed in time: cutting them off");
        self.lapse();
        if tokio::time::timeout(CUTTING, self.0.actors.wait()).await.is_err() {
            return Stopped::Left;
        }
        // their rows are given back with this worker's own
        let left: Vec<AccountId> = self.held().keys().copied().collect();
        let _ = tokio::time::timeout(CUTTING, self.give_up_keys(&left)).await;
        Stopped::CutOff
    }

    async fn release_all(&self, within: Duration, per_s: u32) {
        let (orders, waiting): (Vec<_>, Vec<_>) =
            self.orders().into_iter().partition(|orders| orders.online.load(Ordering::Relaxed));
        waiting.iter().for_each(|orders| orders.release.cancel());
        let least = u64::try_from(orders.len()).unwrap_or(u64::MAX).div_ceil(within.as_secs().max(1));
        let slice =
            if per_s == 0 { orders.len() } else { usize::try_from(least).unwrap_or(usize::MAX).max(size(per_s)) };
        for (place, orders) in orders.chunks(slice.max(1)).enumerate() {
            if place > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            orders.iter().for_each(|orders| orders.release.cancel());
        }
        self.0.tasks.wait().await;
    }
}
