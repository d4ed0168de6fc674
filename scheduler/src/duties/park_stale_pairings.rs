//! Parks pairings that were abandoned: the accounts become `unpaired` again and are never deleted.

use std::time::Duration;
use store::accounts;

use async_trait::async_trait;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// How long after its end a pairing counts as abandoned.
const AGE: Duration = Duration::from_secs(60 * 60);
/// The most accounts of one transaction.
const BATCH: i64 = 200;

/// The duty. Its first round runs at the scheduler's start.
pub struct ParkStalePairings;

#[async_trait]
impl Duty for ParkStalePairings {
    fn name(&self) -> &'static str {
        "park_stale_pairings"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(5 * 60)
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let parked = accounts::park_stale_pairings(context.store.for_all_tenants(), AGE, BATCH).await?;
        Ok(Round::of(context.announce(parked).await.len()))
    }
}
