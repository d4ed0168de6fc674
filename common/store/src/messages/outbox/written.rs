//! What a statement for many sessions says of each account.

use sqlx::PgPool;
use uuid::Uuid;

use crate::fence::Fence;
use crate::pool::answered;
use crate::runs::correct::{self, Which};

/// What a statement says of one account's messages.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The runs of messages that changed.
    pub(super) runs: Vec<Uuid>,
    /// The runs that had ended, and must be corrected.
    pub(super) over: Vec<Uuid>,
    /// The traces of the messages.
    pub(super) traces: Vec<String>,
}

/// Corrects runs with a text that was given up but turned out to have been sent.
pub(super) async fn correct(pool: &PgPool, fence: Fence, runs: &[Uuid], which: Which) {
    if let Err(error) = answered(correct::correct(pool, runs, which)).await {
        tracing::warn!(account = %fence.account, %error, "a run that was called back could not be corrected");
    }
}
