//! Ends work that can no longer be done: messages that expired unsent, so that a run past its delivery window is
//! settled; messages of runs whose account has lost its phone; messages that were accepted for a phone that is gone;
//! and runs that no worker began in time.

use std::time::Duration;

use async_trait::async_trait;
use domain::committed::Committed;
use domain::id::TenantId;
use store::messages;
use store::runs;
use store::{Result, unsent};

use crate::context::Context;
use crate::duty::{Duty, Round};

/// How long after its expiry a message is ended: longer than an acknowledgement that is under way takes.
const AGE: Duration = Duration::from_secs(30);
/// How long a run waits for its account to be paired again.
const STRANDED: Duration = Duration::from_secs(60);
/// The shortest time that a run waits for a worker to begin it.
const UNBEGUN: Duration = Duration::from_secs(5 * 60);
/// The most rows of one statement.
const BATCH: i64 = 1_000;
/// The most statements of one kind in one round. If that is not enough, the next round follows at once.
const BATCHES: usize = 20;

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
        let all = context.store.for_all_tenants();
        let (mut done, mut more) = (0, false);
        more |= repeat(context, &mut done, || messages::expire_messages(all, AGE, BATCH)).await?;
        more |= repeat(context, &mut done, || messages::strand_runs(all, STRANDED, BATCH)).await?;
        more |= repeat(context, &mut done, || unsent::call_back_left(all, BATCH)).await?;
        more |= repeat(context, &mut done, || runs::give_up_runs(all, UNBEGUN, BATCH)).await?;
        Ok(Round { done, next_in: more.then_some(Duration::ZERO) })
    }
}

/// Repeats a statement until it finds nothing more. Returns true if the limit stopped it before.
async fn repeat<F>(context: &Context, done: &mut usize, step: impl Fn() -> F) -> Result<bool>
where
    F: Future<Output = Result<Committed<Vec<TenantId>>>>,
{
    for _ in 0..BATCHES {
        let found = context.announce(step().await?).await;
        if found.is_empty() {
            return Ok(false);
        }
        *done += found.len();
    }
    Ok(true)
}
