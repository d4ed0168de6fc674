//! What a statement for many sessions says of each account.

use std::collections::HashMap;

use sqlx::PgPool;
use uuid::Uuid;

use crate::error::{Error, Result};
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

/// One answer for each call: what was found for its account. If there are several calls for an account, the first gets
/// it, so that nothing is counted twice.
pub(crate) fn answers<C, D: Default>(calls: &[(Fence, C)], mut found: HashMap<Uuid, D>) -> Vec<Result<D>> {
    let answer = |(fence, _): &(Fence, C)| found.get_mut(&fence.account.0).map(std::mem::take).ok_or(Error::Fenced);
    calls.iter().map(answer).collect()
}

/// Corrects runs with a text that was given up but turned out to have been sent.
pub(super) async fn correct(pool: &PgPool, fence: Fence, runs: &[Uuid], which: Which) {
    if let Err(error) = answered(correct::correct(pool, runs, which)).await {
        tracing::warn!(account = %fence.account, %error, "a run that was called back could not be corrected");
    }
}
