//! Reads the queued messages of one account for its sender.

use std::collections::HashSet;
use std::time::Duration;

use domain::id::MessageId;
use process::telemetry::trace::{self, Destination};
use store::outbox::{self, Waiting};
use store::{Fence, Result, Store, answered};

use super::backlog::{Found, Outlook, Row};

impl Row for Waiting {
    fn id(&self) -> MessageId {
        self.id
    }

    fn chat(&self) -> &str {
        &self.chat
    }

    fn is_of_run(&self) -> bool {
        self.run.is_some()
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in_s.map(|left| Duration::try_from_secs_f64(left).unwrap_or_default())
    }
}

/// The end of a look.
pub(super) struct Looked {
    pub(super) found: Found<Waiting>,
    /// Where the next look for further chats begins.
    pub(super) behind: String,
}

/// Reads up to `limit` of the oldest rows. If they leave room for other chats, the oldest row of each chat behind
/// `behind` is read as well.
///
/// # Errors
/// If the oldest rows can't be read.
pub(super) async fn look(
    store: &Store,
    fence: Fence,
    limit: usize,
    outlook: &Outlook,
    behind: String,
) -> Result<Looked> {
    let step = trace::receive(Destination::Outbox).account(fence.account);
    let looked = read(store, fence, limit, outlook, behind).await;
    step.heard(&looked);
    if let Ok(Looked { found: Found { rows, others, .. }, .. }) = &looked {
        let traces = rows.iter().chain(others).filter_map(|row| row.trace.as_deref());
        step.batch(rows.len() + others.len()).follows_all(traces);
    }
    looked
}

async fn read(store: &Store, fence: Fence, limit: usize, outlook: &Outlook, behind: String) -> Result<Looked> {
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = outbox::waiting(store.under(fence), most).await?;
    let is_full = rows.len() >= limit;
    let chats: HashSet<&str> = rows.iter().map(|row| row.chat.as_str()).collect();
    let free = chats.iter().filter(|chat| !outlook.busy.contains(**chat)).count();
    if !is_full || free >= outlook.room {
        return Ok(Looked { found: Found { rows, others: vec![], is_full, is_hidden: is_full }, behind });
    }
    // what was found is of use without the others
    let others = answered(outbox::waiting_chats(store.under(fence), &behind, most)).await;
    let is_unread = others.is_err();
    let mut others = others.unwrap_or_else(|error| {
        tracing::warn!(account = %fence.account, %error, "further chats could not be read");
        Vec::new()
    });
    let is_part = others.len() >= limit;
    let is_hidden = is_unread || is_part || !behind.is_empty();
    let behind = others.last().filter(|_| is_part).map(|row| row.chat.clone()).unwrap_or_default();
    others.retain(|row| !chats.contains(row.chat.as_str()));
    Ok(Looked { found: Found { rows, others, is_full, is_hidden }, behind })
}
