//! Drops the inboxes of dead workers. Their bells are not needed any more, but still take memory in Redis.

use std::time::Duration;

use async_trait::async_trait;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// The duty.
pub struct DropInboxes;

#[async_trait]
impl Duty for DropInboxes {
    fn name(&self) -> &'static str {
        "drop_inboxes"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        Ok(Round::of(context.doorbell.drop_dead_inboxes().await?))
    }
}
