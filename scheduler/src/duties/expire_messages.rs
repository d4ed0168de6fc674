//! Ends messages that were not sent before their time, where no owner does it: a run past its delivery window, too (R46).

use std::time::Duration;

use async_trait::async_trait;
use common::store::neglected;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// Longer than an owner takes to do it, and than an acknowledgement under way.
const AGE: Duration = Duration::from_secs(60);
/// Messages of one statement.
const BATCH: i64 = 1_000;

/// The duty.
pub struct ExpireMessages;

#[async_trait]
impl Duty for ExpireMessages {
    fn name(&self) -> &'static str {
        "expire_messages"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(15)
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let tenants = neglected::expire_messages(&context.db, AGE, BATCH).await?;
        let done = tenants.len();
        context.signal(tenants);
        Ok(Round::of(done))
    }
}
