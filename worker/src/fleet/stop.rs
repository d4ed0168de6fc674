//! Ends the sessions of a worker: in order and in slices, or by cutting them off.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::id::AccountId;
use tokio_util::sync::CancellationToken;

use super::balance::size;
use super::supervisor::Supervisor;

/// How long sessions that were cut off may take to end.
const CUTTING: Duration = Duration::from_secs(2);
/// The time reserved for the last slice of a stop: to await acknowledgements and close the sockets.
const LAST_SLICE: Duration = Duration::from_secs(13);

/// How the sessions of a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// All ended in order; no socket is open.
    InOrder,
    /// Some were cut off. No socket is open; their messages in flight go out again with the same ids.
    CutOff,
    /// Some have not ended: a socket may still be open.
    Left,
}

impl Supervisor {
    /// Stops claiming, closes every session in order and gives every account back. Cuts off the remaining sessions
    /// after `deadline`, or when `at_once` is cancelled. Sessions that are not online end first and at once. The others
    /// end in slices of at least `per_s` each second (0: all at once), so that the cluster can reconnect them as fast;
    /// a session whose turn has not come stays online. The last slice starts early enough to end in order.
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
        // their rows are released together with this worker's own row
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
