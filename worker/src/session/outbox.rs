//! The sender of one session: drains the account's queued rows in order while the session is online.
//!
//! Order is kept within a chat: the next message to it goes out when the one before is written as sent. Different chats do
//! not wait for each other. It never marks a row: a message counts as sent on the server's acknowledgement only, which the actor receives. What
//! is not acknowledged goes out again, with the same WhatsApp id, on the next connection. That a text of a run is handed over is
//! written first: a row that an edit has called back since it was read stays here.

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

/// Messages that may be unacknowledged at the same time.
const WINDOW: usize = 64;
/// The rows are looked at this often when nobody rings.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Texts of runs that are marked together, and then handed over one by one: an edit meanwhile takes all of them for sent.
const MARKED: usize = 8;
/// Rows that were read longer ago are read again before any more is sent: an edit may have called them back.
const FRESH: Duration = Duration::from_millis(100);
/// After a look that found messages whose time had just passed.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// After a failed look at the rows.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A connection that says for so long that it is none, and does not end, is not to be trusted.
const UNCONNECTED: Duration = Duration::from_secs(3);

/// What the sender tells the actor.
#[derive(Debug)]
pub enum Report {
    /// WhatsApp or the client refused this message for good.
    Refused {
        /// Its WhatsApp id.
        whatsapp_id: String,
        /// Why, for a person.
        reason: String,
    },
    /// Nobody knows whether a message went out: the connection is not to be trusted any more.
    Stale {
        /// The connection.
        serial: i64,
        /// The message; none when it is not about one: the connection takes none, or the sender itself broke.
        message: Option<MessageId>,
    },
    /// The sender has ended: nothing is handed over by it any more.
    Over,
}

/// What the sender works with.
pub struct Sender {
    /// The worker's means.
    pub context: Arc<Context>,
    /// Whose messages, and the right to hand them over.
    pub fence: Fence,
    /// The connection.
    pub link: Arc<dyn Link>,
    /// The connection's number within the session.
    pub serial: i64,
    /// What is on its way.
    pub in_flight: Arc<InFlight>,
    /// "Look at the rows."
    pub bell: Arc<Notify>,
    /// To the actor.
    pub reports: mpsc::UnboundedSender<Report>,
    /// Cancelled when the session is not online any more.
    pub stop: CancellationToken,
}

enum Drained {
    /// Nothing is left to send now.
    All,
    /// Look again after this.
    Again(Duration),
    /// The connection takes nothing: it is about to end, or ought to be.
    Unconnected,
    /// The connection is of no more use.
    Gone,
}

/// Whether a message's time has passed, by the time that was left when it was read.
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
            // read before the rows: a message that is put off meanwhile must not be overtaken by the next of its chat
            let busy = self.in_flight.busy();
            let room = WINDOW.saturating_sub(busy.len());
            if room == 0 {
                return Drained::All; // the next acknowledgement rings
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
            // the next of each chat; whose delivery window closed since it was read is not found by the next look
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

    /// Why nothing may be handed over now, if so.
    fn hindered(&self) -> Option<Drained> {
        let now = BootTime::now();
        if !self.context.trust.holds(now) {
            return Some(Drained::Again(RETRY_AFTER));
        }
        self.in_flight.held(now).map(Drained::Again)
    }

    /// Marks texts of runs as handed over, since they are about to be, and leaves out those that were called back. Answers
    /// which of them never were before.
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

    /// Sends one row, which was accepted then. Answers whether it may have left, and what ends the drain.
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
        // asked after it was put: whoever stops the sender and then finds nothing on its way can rely on that
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
                // it stays among those on their way until the actor has written it, so that it is not read again
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
