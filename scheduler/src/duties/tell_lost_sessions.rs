//! Tells of sessions whose worker is gone: what says `connected` and has no living owner becomes `disconnected` (R90).

use std::time::Duration;

use async_trait::async_trait;
use common::store::neglected;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// Accounts of one transaction.
const BATCH: usize = 500;

/// The duty. Its first round comes with the scheduler's start: what was lost while none ran is told then.
pub struct TellLostSessions;

#[async_trait]
impl Duty for TellLostSessions {
    fn name(&self) -> &'static str {
        "tell_lost_sessions"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let told = neglected::tell_lost_sessions(&context.db, limit).await?;
        let done = told.len();
        context.signal(told);
        Ok(Round { done, next_in: (done == BATCH).then_some(Duration::ZERO) })
    }
}
