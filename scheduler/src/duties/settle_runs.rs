//! Settles runs whose messages have left the outbox: `success`, `partial`, `failed` or `paused`.

use std::time::Duration;
use store::runs;

use async_trait::async_trait;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// The most runs of one transaction.
const BATCH: i64 = 200;
/// The most transactions of one round. If that is not enough, the next round follows at once.
const BATCHES: usize = 20;

/// The duty.
pub struct SettleRuns;

#[async_trait]
impl Duty for SettleRuns {
    fn name(&self) -> &'static str {
        "settle_runs"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let mut done = 0;
        for _ in 0..BATCHES {
            let runs = runs::unsettled_runs(context.store.for_all_tenants(), BATCH).await?;
            if runs.is_empty() {
                return Ok(Round::of(done));
            }
            let settled = context.announce(runs::settle_runs(context.store.for_all_tenants(), &runs).await?).await;
            done += settled.len();
            // the rest is locked by other schedulers, or was settled in part
            if settled.is_empty() || i64::try_from(runs.len()).unwrap_or(i64::MAX) < BATCH {
                return Ok(Round::of(done));
            }
        }
        Ok(Round { done, next_in: Some(Duration::ZERO) })
    }
}
