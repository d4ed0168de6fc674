//! Removes rows that have done their work: idempotency keys, old events, deliveries to webhooks, runs and notifications,
//! workers long gone.

use std::time::Duration;

use async_trait::async_trait;
use common::store::{Result, idempotency, retention};

use crate::context::Context;
use crate::duty::{Duty, Round};

/// Rows of one statement.
const BATCH: i64 = 1_000;
/// Statements of one kind in one round.
const BATCHES: usize = 50;
/// How long a worker's row is kept after its last sign of life.
const WORKERS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How much longer than events their deliveries are kept: before they are tried, and after they have ended.
const DELIVERIES_LONGER: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// The duty.
pub struct Prune {
    /// How long events are kept.
    pub events_kept: Duration,
    /// How long runs are kept after their end, and notifications after they were written.
    pub runs_kept: Duration,
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
        let db = &context.db;
        let mut done = repeat(|| idempotency::prune_of_all_tenants(db, BATCH)).await?;
        let events = || async {
            let (removed, told) = retention::events(db, self.events_kept, BATCH).await?;
            context.signal(told);
            Ok(removed)
        };
        done += repeat(events).await?;
        let deliveries_kept = self.events_kept + DELIVERIES_LONGER;
        done += repeat(|| retention::left_deliveries(db, deliveries_kept, BATCH)).await?;
        done += repeat(|| retention::webhook_deliveries(db, deliveries_kept, BATCH)).await?;
        done += repeat(|| retention::runs(db, self.runs_kept, BATCH)).await?;
        done += repeat(|| retention::notifications(db, self.runs_kept, BATCH)).await?;
        done += repeat(|| retention::workers(db, WORKERS_KEPT, BATCH)).await?;
        Ok(Round::of(done))
    }
}

/// Runs a statement until it finds less than a batch.
async fn repeat<F: Future<Output = Result<u64>>>(step: impl Fn() -> F) -> Result<usize> {
    let mut done = 0;
    for _ in 0..BATCHES {
        let removed = step().await?;
        done += usize::try_from(removed).unwrap_or(usize::MAX);
        if removed < BATCH.unsigned_abs() {
            break;
        }
    }
    Ok(done)
}
