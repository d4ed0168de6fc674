//! Finishes logouts that an account's owner did not finish in time: removes an account that was deleted, and unlinks
//! any other account here.

use std::time::Duration;

use async_trait::async_trait;
use store::audit::Operator;
use store::{accounts, waiting};

use crate::context::Context;
use crate::duty::{Duty, Round};

/// How long an account without an owner waits for one that logs its device out.
const OWNERLESS: Duration = Duration::from_secs(60);
/// The time limit for an owner.
const AGE: Duration = Duration::from_secs(180);
/// The most accounts of one round.
const BATCH: i64 = 100;

/// The duty.
pub struct FinishDeletes;

#[async_trait]
impl Duty for FinishDeletes {
    fn name(&self) -> &'static str {
        "finish_deletes"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(10)
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let mut done = 0;
        for (tenant, account, remove) in
            waiting::stuck_logouts(context.store.for_all_tenants(), OWNERLESS, AGE, BATCH).await?
        {
            let operator = Operator::System("scheduler");
            if !remove {
                context.announce(accounts::unpair(context.store.of(tenant), account, operator).await?).await;
                done += 1;
                continue;
            }
            let removed = accounts::remove(context.store.of(tenant), account, operator, "logout_not_confirmed").await?;
            done += usize::from(removed);
        }
        Ok(Round::of(done))
    }
}
