//! Ends messages that were not sent before their time, so that a run past its delivery window is settled (R46); and those of
//! runs whose account has lost its phone.

use std::time::Duration;

use async_trait::async_trait;
use common::store::neglected;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// Longer than an acknowledgement takes that is under way.
const AGE: Duration = Duration::from_secs(30);
/// How long a run waits for its account to be paired again.
const STRANDED: Duration = Duration::from_secs(60);
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
        Duration::from_secs(10)
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let mut tenants = neglected::expire_messages(&context.db, AGE, BATCH).await?;
        tenants.extend(neglected::strand_runs(&context.db, STRANDED, BATCH).await?);
        let done = tenants.len();
        context.signal(tenants);
        Ok(Round::of(done))
    }
}
