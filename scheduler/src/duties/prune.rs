//! Removes rows that are no longer needed: idempotency keys, old events, deliveries to webhooks, runs and
//! notifications, messages, the audit trail, signing secrets that were replaced, and workers and schedulers long gone.
//! If a round finds more than it may remove, the next one follows at once.

use std::time::Duration;

use async_trait::async_trait;
use store::audit;
use store::events;
use store::messages;
use store::notifications;
use store::runs;
use store::signs;
use store::webhooks;
use store::workers;
use store::{Result, idempotency};

use crate::context::Context;
use crate::duty::{Duty, Round};

/// The most rows of one statement.
const BATCH: i64 = 1_000;
/// The most statements of one kind in one round.
const BATCHES: usize = 10;
/// How long a worker's or a scheduler's row is kept after its last sign of life.
const WORKERS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How much longer than events their deliveries are kept, both while they wait and after they have ended.
const DELIVERIES_LONGER: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// The duty.
pub struct Prune {
    /// How long events are kept.
    pub events_kept: Duration,
    /// How long runs are kept after their end, and notifications after they were written.
    pub runs_kept: Duration,
    /// How many days messages are kept, unless their tenant has a shorter limit.
    pub messages_kept_days: i32,
    /// How many days the audit trail is kept, unless its tenant has a shorter limit.
    pub audit_kept_days: i32,
}

#[async_trait]
impl Duty for Prune {
    fn name(&self) -> &'static str {
        "prune"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(10 * 60)
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let (all, pool) = (context.store.for_all_tenants(), context.store.pool());
        let events = || async {
            let pruned = events::prune(all, self.events_kept, BATCH).await?;
            Ok(context.announce(pruned).await.0)
        };
        let deliveries_kept = self.events_kept + DELIVERIES_LONGER;
        let steps = [
            repeat(|| idempotency::prune(all, BATCH)).await?,
            repeat(events).await?,
            repeat(|| webhooks::fail_left_deliveries(all, deliveries_kept, BATCH)).await?,
            repeat(|| webhooks::prune_deliveries(all, deliveries_kept, BATCH)).await?,
            repeat(|| runs::prune(all, self.runs_kept, BATCH)).await?,
            repeat(|| notifications::prune(all, self.runs_kept, BATCH)).await?,
            repeat(|| messages::prune(all, self.messages_kept_days, BATCH)).await?,
            repeat(|| audit::prune(all, self.audit_kept_days, BATCH)).await?,
            repeat(|| webhooks::erase_old_secrets(all, BATCH)).await?,
            repeat(|| workers::prune(pool, WORKERS_KEPT, BATCH)).await?,
            repeat(|| signs::prune_schedulers(pool, WORKERS_KEPT, BATCH)).await?,
        ];
        let more = steps.iter().any(|step| step.more);
        let done = steps.iter().map(|step| step.removed).sum();
        Ok(Round { done, next_in: more.then_some(Duration::ZERO) })
    }
}

/// How many rows of one kind were removed.
struct Step {
    removed: usize,
    /// Whether there may be more.
    more: bool,
}

/// Repeats a statement until it removes less than a batch.
async fn repeat<F: Future<Output = Result<u64>>>(step: impl Fn() -> F) -> Result<Step> {
    let mut done = Step { removed: 0, more: false };
    for _ in 0..BATCHES {
        let removed = step().await?;
        done.removed += usize::try_from(removed).unwrap_or(usize::MAX);
        done.more = removed >= BATCH.unsigned_abs();
        if !done.more {
            break;
        }
    }
    Ok(done)
}
