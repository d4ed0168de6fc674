//! Fires due reminders: an occurrence becomes a run, exactly once, and its reminder is armed again.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use store::runs;

use async_trait::async_trait;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// The most occurrences of one transaction.
const BATCH: i64 = 500;
/// The most transactions of one round. If that is not enough, the next round follows at once.
const BATCHES: usize = 20;
/// The longest pause, which limits the cost of a lost notification. Otherwise it ends when the next occurrence is due.
const INTERVAL: Duration = Duration::from_secs(15);
/// The pause after a round that failed: due occurrences do not wait for the interval.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The pause if another scheduler has locked everything that is due, in order to fire it.
const LOCKED: Duration = Duration::from_millis(50);
/// How long after the due time the rows are read, so that the database's clock has certainly reached it.
const PAST: Duration = Duration::from_millis(1);

/// The duty.
pub struct FireReminders {
    /// The number of occurrences of the next transaction. It shrinks after a transaction that failed or took too long,
    /// so that the oldest occurrences are not tried in vain for ever.
    pub batch: AtomicI64,
}

impl Default for FireReminders {
    fn default() -> Self {
        Self { batch: BATCH.into() }
    }
}

/// Pure. The size of the next transaction, after one of size `batch` that succeeded or did not.
fn next_batch(batch: i64, carried_out: bool) -> i64 {
    if carried_out { (batch * 2).min(BATCH) } else { (batch / 2).max(1) }
}

#[async_trait]
impl Duty for FireReminders {
    fn name(&self) -> &'static str {
        "fire_reminders"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn retry_after(&self) -> Duration {
        RETRY_AFTER
    }

    async fn woken(&self, context: &Context) {
        context.armed.notified().await;
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let mut done = 0;
        for _ in 0..BATCHES {
            let batch = self.batch.load(Ordering::Relaxed);
            self.batch.store(next_batch(batch, false), Ordering::Relaxed); // the round may be cancelled at any moment
            let firing = runs::fire_due(context.store.for_all_tenants(), batch).await?;
            // finding nothing due does not count as success: the server may still be busy with the batch that was given
            // up
            let next = if firing.due == 0 { batch } else { next_batch(batch, true) };
            self.batch.store(next, Ordering::Relaxed);
            if firing.due == 0 {
                break;
            }
            done += firing.due;
            context.announce(firing).await;
        }
        let next_in = runs::next_due_in(context.store.for_all_tenants()).await?;
        let next_in = next_in.map(|next| if done == 0 && next.is_zero() { LOCKED } else { next + PAST });
        Ok(Round { done, next_in })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_is_too_large_shrinks_and_grows_again() {
        for (batch, carried_out, next) in [
            (500, true, 500),
            (500, false, 250),
            (125, false, 62),
            (3, false, 1),
            (1, false, 1),
            (1, true, 2),
            (62, true, 124),
            (300, true, 500),
        ] {
            assert_eq!(next_batch(batch, carried_out), next, "{batch}, {carried_out}");
        }
    }
}
