//! The sender of one session: drains the account's queued rows in order while the session is online.
//!
//! Order is kept within a chat: the next message to it goes out when the one before is written as sent. Different chats
//! do not wait for each other. The sender never marks a message as sent; the actor does that on the server's
//! acknowledgement. A message that is not acknowledged goes out again on the next connection, with the same WhatsApp
//! id. Before a text of a run is handed over, that is written to its row: a text that an edit has called back since it
//! was read is not sent.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::id::MessageId;
use process::clock::BootTime;
use process::telemetry::trace::{self, Destination};
use store::outbox::{self, Waiting};
use store::{Fence, answered, handing};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::in_flight::{Flying, InFlight};
use crate::context::Context;
use crate::link::{Link, SendError};

/// How many messages may be unacknowledged at the same time.
const WINDOW: usize = 64;
/// How often the rows are read if nothing wakes the sender.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How many texts of runs are marked together before they are handed over one by one. An edit in between treats all of
/// them as sent.
const MARKED: usize = 8;
/// Rows that were read longer ago are read again before more is sent: an edit may have called them back.
const FRESH: Duration = Duration::from_millis(100);
/// How soon the rows are read again after a look that found only expired messages.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How soon the rows are read again after an error.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A connection that reports "not connected" for this long without ending is stale.
const UNCONNECTED: Duration = Duration::from_secs(3);

/// A report from the sender to the actor.
#[derive(Debug)]
pub enum Report {
    /// WhatsApp or the client refused this message for good.
    Refused {
        /// Its WhatsApp id.
        whatsapp_id: String,
        /// The reason, for a person.
        reason: String,
    },
    /// It is unknown whether a message went out: the connection cannot be trusted any more.
    Stale {
        /// The number of the connection.
        serial: i64,
        /// The message; `None` if the connection takes no messages at all, or if the sender itself broke.
        message: Option<MessageId>,
    },
    /// The sender has ended and hands over nothing more.
    Over,
}

/// What the sender works with.
pub struct Sender {
    /// The worker's shared resources.
    pub context: Arc<Context>,
    /// The account, and the right to act for it.
    pub fence: Fence,
    /// The connection.
    pub link: Arc<dyn Link>,
    /// The connection's number within the session.
    pub serial: i64,
    /// The messages in flight.
    pub in_flight: Arc<InFlight>,
    /// Wakes the sender to look at the rows.
    pub bell: Arc<Notify>,
    /// Reports to the actor.
    pub reports: mpsc::UnboundedSender<Report>,
    /// Cancelled when the session is not online any more.
    pub stop: CancellationToken,
}

enum Drained {
    /// Nothing is left to send now.
    All,
    /// Look again after this time.
    Again(Duration),
    /// The connection takes nothing: it is about to end, or should be ended.
    Unconnected,
    /// The connection is of no more use.
    Gone,
}

/// Whether a message has expired, by the time that was left when it was read.
fn is_over(row: &Waiting, read_at: BootTime) -> bool {
    let left = row.expires_in_s.map(|left| Duration::try_from_secs_f64(left).unwrap_or_default());
    left.is_some_and(|left| BootTime::now().since(read_at) >= left)
}

impl Sender {
    /// Sends until stopped.
    pub async fn run(self) {
        let mut pause = LOOK_EVERY;
        let mut unconnected = None;
        loop {
            let drained = tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.bell.notified() => self.drain().await,
                () = tokio::time::sleep(pause) => self.drain().await,
            };
            pause = match drained {
                Drained::All => LOOK_EVERY,
                Drained::Again(pause) => pause,
                Drained::Unconnected => RETRY_AFTER,
                Drained::Gone => return,
            };
            if !matches!(drained, Drained::Unconnected) {
                unconnected = None;
            } else if BootTime::now().since(*unconnected.get_or_insert_with(BootTime::now)) >= UNCONNECTED {
                let _ = self.reports.send(Report::Stale { serial: self.serial, message: None });
                return;
            }
        }
    }

    async fn drain(&self) -> Drained {
        loop {
            // read before the rows: a message that is put off meanwhile must not be overtaken by the next one of its
            // chat
            let busy = self.in_flight.busy();
            let room = WINDOW.saturating_sub(busy.len());
            if room == 0 {
                return Drained::All; // the next acknowledgement wakes the sender
            }
            let limit = i64::try_from(room).unwrap_or(1);
            let read_at = BootTime::now();
            let account = self.fence.account;
            let step = trace::receive(Destination::Outbox).account(account);
            let rows = match answered(outbox::waiting(self.context.store.under(self.fence), &busy, limit)).await {
                Ok(rows) => rows,
                Err(error) => {
                    step.heard(&Err::<(), _>(&error));
                    tracing::warn!(%account, %error, "the outbox could not be read");
                    return Drained::Again(RETRY_AFTER);
                }
            };
            if rows.is_empty() {
                return Drained::All;
            }
            step.batch(rows.len()).follows_all(rows.iter().filter_map(|row| row.trace.as_deref()));
            // only the first of each chat; the next look does not find rows whose delivery window has closed since
            let mut taken = HashSet::new();
            let mut rows: Vec<_> =
                rows.into_iter().filter(|row| !is_over(row, read_at) && taken.insert(row.chat.clone())).collect();
            let mut of_runs = 0;
            rows.retain(|row| {
                of_runs += usize::from(row.run.is_some());
                row.run.is_none() || of_runs <= MARKED // the next look finds the others
            });
            let mut marked = match self.mark(&mut rows).await {
                Ok(marked) => marked,
                Err(end) => return end,
            };
            let (mut sent, mut end) = (false, None);
            let here_at = BootTime::now();
            for row in rows {
                if sent && BootTime::now().since(here_at) >= FRESH {
                    break;
                }
                if is_over(&row, read_at) {
                    continue;
                }
                let age = Duration::try_from_secs_f64(row.age_s).unwrap_or_default();
                let accepted = BootTime::at(read_at.since(BootTime::at(age)));
                let id = row.id;
                let (handed, ended) = self.send(row, accepted).await;
                if handed {
                    marked.remove(&id);
                    sent = true;
                }
                if ended.is_some() {
                    end = ended;
                    break;
                }
            }
            self.unmark(marked).await;
            match end {
                Some(end) => return end,
                None if !sent => return Drained::Again(LOOK_AGAIN),
                None => {}
            }
        }
    }

    /// Why nothing may be handed over now; `None` if it may.
    fn hindered(&self) -> Option<Drained> {
        let now = BootTime::now();
        if !self.context.trust.holds(now) {
            return Some(Drained::Again(RETRY_AFTER));
        }
        self.in_flight.held(now).map(Drained::Again)
    }

    /// Marks texts of runs as handed over, because they are about to be, and removes those that were called back.
    /// Returns those that were marked for the first time.
    async fn mark(&self, rows: &mut Vec<Waiting>) -> Result<HashSet<MessageId>, Drained> {
        let of_runs: Vec<MessageId> = rows.iter().filter(|row| row.run.is_some()).map(|row| row.id).collect();
        if of_runs.is_empty() {
            return Ok(HashSet::new());
        }
        if let Some(hindered) = self.hindered() {
            return Err(hindered);
        }
        match answered(handing::mark(self.context.store.under(self.fence), &of_runs)).await {
            Ok(marked) => {
                rows.retain(|row| row.run.is_none() || marked.iter().any(|marked| marked.id == row.id));
                Ok(marked.into_iter().filter(|marked| marked.first).map(|marked| marked.id).collect())
            }
            Err(error) => {
                tracing::warn!(account = %self.fence.account, %error, "it could not be written what is about to be sent");
                Err(Drained::Again(RETRY_AFTER))
            }
        }
    }

    async fn unmark(&self, left: HashSet<MessageId>) {
        if left.is_empty() {
            return;
        }
        let left: Vec<MessageId> = left.into_iter().collect();
        if let Err(error) = answered(handing::unmark(self.context.store.under(self.fence), &left)).await {
            // they count as handed over, and go out when they can
            tracing::debug!(account = %self.fence.account, %error, "what was not sent stays marked");
        }
    }

    /// Sends one row. `accepted`: when its message was accepted. Returns whether it may have left, and what ends the
    /// drain.
    async fn send(&self, row: Waiting, accepted: BootTime) -> (bool, Option<Drained>) {
        if let Some(hindered) = self.hindered() {
            return (false, Some(hindered));
        }
        let now = BootTime::now();
        let account = self.fence.account;
        let step = trace::process(Destination::Outbox, row.trace.as_deref()).account(account).message(&row.id);
        let flying = Flying {
            id: row.id,
            chat: row.chat.clone(),
            attempts: row.attempts + 1,
            accepted,
            since: now,
            answered: false,
            step: step.clone(),
        };
        self.in_flight.put(&row.whatsapp_id, flying);
        // checked after `put`: an actor that stops the sender and then finds nothing in flight can rely on that
        if self.stop.is_cancelled() {
            self.in_flight.forget(row.id);
            return (false, Some(Drained::Gone));
        }
        let handing = step.hand_over();
        let handed = self.link.send_text(&row.chat, &row.whatsapp_id, &row.body).await;
        handing.heard(&handed);
        step.heard(&handed);
        match handed {
            Ok(()) => (true, None),
            Err(SendError::NotConnected) => {
                self.in_flight.forget(row.id);
                (false, Some(Drained::Unconnected))
            }
            Err(SendError::Rejected(reason)) => {
                // it stays in flight until the actor has written the failure, so that it is not read again
                let _ = self.reports.send(Report::Refused { whatsapp_id: row.whatsapp_id, reason });
                (true, None)
            }
            Err(SendError::Unknown(what)) => {
                tracing::warn!(%account, message = %row.id, %what, "the outcome of a send is unknown");
                let _ = self.reports.send(Report::Stale { serial: self.serial, message: Some(row.id) });
                (true, Some(Drained::Gone))
            }
        }
    }
}
