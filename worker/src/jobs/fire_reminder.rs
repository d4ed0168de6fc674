//! A run is due: its targets become messages, and the account's owner is told.

use domain::id::RunId;
use domain::job::{Answer, Bell};
use store::runs;
use store::runs::Expansion;

use crate::context::Context;

/// Expands the run once, however often the bell rings.
pub async fn answer(context: &Context, run: RunId) -> Answer {
    match runs::expand_run(&context.pool, run).await {
        Ok(Expansion::Expanded { account, tenant, messages }) => {
            tracing::debug!(%run, messages, "run expanded");
            context.bus.signal(tenant);
            if let Err(error) = context.doorbell.ring(&Bell::Send { account }).await {
                tracing::debug!(%error, "the sender was not told; the scheduler rings again");
            }
            Answer::Done
        }
        Ok(Expansion::Dropped { tenant, status, reason }) => {
            tracing::info!(%run, status = status.as_str(), reason, "run dropped");
            context.bus.signal(tenant);
            Answer::Done
        }
        Ok(Expansion::Already(_) | Expansion::Waits | Expansion::Gone) => Answer::Done,
        Err(error) => Answer::Retry(error.to_string()),
    }
}
