//! Records that this scheduler is alive, for `/health` and other readers.

use std::time::Duration;

use async_trait::async_trait;
use store::signs;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// The duty. Its first round runs at the scheduler's start.
pub struct Heartbeat;

#[async_trait]
impl Duty for Heartbeat {
    fn name(&self) -> &'static str {
        "heartbeat"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        signs::scheduler_lives(context.store.pool(), context.boot, &context.name, env!("CARGO_PKG_VERSION")).await?;
        Ok(Round::of(0))
    }
}
