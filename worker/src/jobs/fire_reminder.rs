//! Handles the bell of a due run: turns its targets into messages and notifies the account's owner.

use bells::announce;
use domain::id::RunId;
use domain::job::Answer;
use store::runs;
use store::runs::Expansion;

use crate::context::Context;

/// Expands the run. It is expanded only once, however often the bell rings.
pub async fn answer(context: &Context, run: RunId) -> Answer {
    let expanded = match runs::expand_run(context.store.for_all_tenants(), run).await {
        Ok(expanded) => announce::announce(&context.bus, &context.doorbell, expanded).await,
        Err(error) => return Answer::Retry(error.to_string()),
    };
    match expanded {
        Expansion::Expanded { messages, .. } => tracing::debug!(%run, messages, "run expanded"),
        Expansion::Dropped { status, reason, .. } => {
            tracing::info!(%run, status = status.as_str(), reason, "run dropped");
        }
        Expansion::Already(_) | Expansion::Waits | Expansion::Gone => {}
    }
    Answer::Done
}
