//! Reseals all records under the first configured key, while workers run.
//!
//! Works in batches by primary key. Each batch is one statement that changes a record only if it still holds what was
//! read: a worker's own write wins, and that is sealed under the worker's first key. Records that were missed in this
//! way are handled in the next pass. The only state is in the records themselves, so the rotation may be stopped and
//! started at any point.

use std::collections::BTreeMap;
use std::fmt;

use domain::id::AccountId;
use store::ForAllTenants;
use store::keys::{self, Place};
use store::seal::Sealer;
use tokio_util::sync::CancellationToken;

/// How many passes over all records are made before the summary blames a worker that seals under an older key.
const PASSES: usize = 5;
/// How many accounts a summary names.
const NAMED: usize = 50;

/// The progress of a rotation.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Records resealed.
    pub done: u64,
    /// Approximate number of records to go: workers write meanwhile.
    pub left: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} done, {} left", self.done, self.left)
    }
}

/// The result of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The key that seals.
    pub key_id: String,
    /// Records resealed.
    pub done: u64,
    /// Records under other keys at the end, including those that do not open.
    pub left: u64,
    /// Records that do not open, by account and kind.
    pub closed: BTreeMap<(AccountId, i16), u64>,
    /// Whether it was told to stop.
    pub stopped: bool,
}

impl Summary {
    /// Whether every record is sealed under the key.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.left == 0 && self.closed.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed: u64 = self.closed.values().sum();
        write!(f, "{} records sealed anew under key `{}`, {} left", self.done, self.key_id, self.left)?;
        if self.stopped {
            f.write_str(": stopped; run it again to go on")?;
        } else if self.left > closed {
            f.write_str(
                ": a worker seals under an older key still; restart every worker with the new key first in \
                 CREDENTIAL_KEYS, and run it again",
            )?;
        }
        if closed > 0 {
            write!(f, "\n{closed} records do not open (key missing, or damaged):")?;
        }
        for ((account, kind), records) in self.closed.iter().take(NAMED) {
            write!(f, "\n  account {account}, kind {kind}: {records}")?;
        }
        if self.closed.len() > NAMED {
            write!(f, "\n  and {} more", self.closed.len() - NAMED)?;
        }
        Ok(())
    }
}

/// Reseals all records that are not sealed under the sealer's first key, `batch` at a time, until none is left or
/// `stop` is cancelled. Calls `tell` with the progress after every batch.
///
/// # Errors
/// If the database fails. Batches that were done stay done.
pub async fn rotate(
    all: ForAllTenants<'_>,
    sealer: &Sealer,
    batch: i64,
    stop: &CancellationToken,
    mut tell: impl FnMut(Progress),
) -> anyhow::Result<Summary> {
    let mut summary =
        Summary { key_id: sealer.key_id().to_owned(), done: 0, left: 0, closed: BTreeMap::new(), stopped: false };
    let total = count_left(all, sealer).await?;
    for _ in 0..PASSES {
        summary.closed.clear();
        let mut after = Place::start();
        while !stop.is_cancelled() {
            let moved = keys::reseal(all, sealer, &after, batch).await?;
            summary.done += moved.resealed;
            for whose in moved.closed {
                *summary.closed.entry(whose).or_default() += 1;
            }
            tell(Progress { done: summary.done, left: total.saturating_sub(summary.done) });
            let Some(last) = moved.last else { break };
            after = last;
        }
        summary.stopped = stop.is_cancelled();
        summary.left = count_left(all, sealer).await?;
        if summary.stopped || summary.left <= summary.closed.values().sum() {
            break;
        }
    }
    Ok(summary)
}

async fn count_left(all: ForAllTenants<'_>, sealer: &Sealer) -> anyhow::Result<u64> {
    Ok(keys::count_others(all, sealer.key_id()).await?.unsigned_abs())
}
