//! Plans reminders again whose next time was computed with older zone data than this program's. This happens once after
//! an upgrade.

use std::time::Duration;
use store::reminders;

use async_trait::async_trait;
use schedule::zone;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// The most reminders of one transaction.
const BATCH: i64 = 500;
/// The most transactions of one round. If that is not enough, the next round follows at once.
const BATCHES: usize = 100;

/// The duty. Its first round runs at the scheduler's start.
pub struct RefreshZoneData;

#[async_trait]
impl Duty for RefreshZoneData {
    fn name(&self) -> &'static str {
        "refresh_zone_data"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(10 * 60)
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let mut done = 0;
        for _ in 0..BATCHES {
            let refreshed =
                reminders::refresh_zone_data(context.store.for_all_tenants(), zone::data_version(), BATCH).await?;
            let refreshed = context.announce(refreshed).await;
            done += refreshed.moved.len();
            if i64::try_from(refreshed.seen).unwrap_or(i64::MAX) < BATCH {
                return Ok(Round::of(done));
            }
        }
        Ok(Round { done, next_in: Some(Duration::ZERO) })
    }
}
