//! The sender of one session: drains the account's queued rows in order while the session is online.
//!
//! Order is kept within a chat: the next message to it goes out when the one before is acknowledged. Different chats do
//! not wait for each other: several messages are handed over side by side, while the next rows are being read. The
//! sender never marks a message as sent; the actor does that on the server's acknowledgement. A message that is not
//! acknowledged goes out again on the next connection, with the same WhatsApp id. Before a text of a run is handed over,
//! that is written to its row: a text that an edit has called back since it was read is not sent.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::id::MessageId;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{FuturesUnordered, StreamExt as _};
use process::clock::BootTime;
use process::telemetry::trace::{self, Destination};
use store::outbox::Waiting;
use store::{Fence, answered, handing};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backlog::{Backlog, FRESH, Next, Outlook, has_expired};
use super::in_flight::{Answer, Flying, InFlight};
use super::look::{Looked, look};
use crate::context::Context;
use crate::link::{Link, SendError};

/// How many messages may be on their way to the connection at the same time.
const AT_ONCE: usize = 16;
/// How often the rows are read if nothing wakes the sender.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How soon the sender tries again after an error.
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
    /// Wakes the sender after a message was answered or written.
    pub freed: Arc<Notify>,
    /// Reports to the actor.
    pub reports: mpsc::UnboundedSender<Report>,
    /// Cancelled when the session is not online any more.
    pub stop: CancellationToken,
}

/// What the sender waits for, besides being woken.
enum Done {
    /// A look has ended; `None` if it was given up because the sender was stopped.
    Looked(Option<store::Result<Looked>>),
    /// One message was handed over, or not.
    Sent(Sent),
    /// A batch of texts of runs has ended. `left`: some of them were not handed over.
    OfRuns { sent: Sent, left: bool },
}

/// The end of a hand-over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// It may have left.
    Yes,
    /// Something hinders: look again after this time.
    Hindered(Duration),
    /// The connection takes nothing: it is about to end, or should be ended.
    Unconnected,
    /// The connection is of no more use.
    Gone,
}

type Doing<'s> = FuturesUnordered<BoxFuture<'s, Done>>;

/// What the sender remembers between two steps.
#[derive(Default)]
struct Queue {
    backlog: Backlog<Waiting>,
    /// The texts of runs that are being handed over, with their chats.
    of_runs: Vec<(MessageId, String)>,
    /// How many messages are on their way to the connection.
    sending: usize,
    behind: String,
}

impl Sender {
    /// Sends until stopped. What is being handed over at that moment is finished.
    pub async fn run(self) {
        let mut doing = Doing::new();
        self.drain(&mut doing).await;
        while doing.next().await.is_some() {}
    }

    async fn drain<'s>(&'s self, doing: &mut Doing<'s>) {
        let mut queue = Queue::default();
        let mut unconnected = None;
        let mut rest: Option<Instant> = None;
        loop {
            if rest.is_none() {
                rest = self.act(&mut queue, doing).map(|pause| Instant::now() + pause);
            }
            let done = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Some(done) = doing.next() => done,
                () = self.bell.notified() => {
                    queue.backlog.ring();
                    continue;
                }
                () = self.freed.notified() => {
                    queue.backlog.freed();
                    continue;
                }
                () = tokio::time::sleep_until(rest.unwrap_or_else(|| Instant::now() + LOOK_EVERY)) => {
                    queue.backlog.ring();
                    rest = None;
                    continue;
                }
            };
            let Some(sent) = self.done(&mut queue, done) else { continue };
            let pause = match sent {
                Sent::Yes => {
                    unconnected = None;
                    continue;
                }
                Sent::Hindered(pause) => pause,
                Sent::Unconnected => {
                    if BootTime::now().since(*unconnected.get_or_insert_with(BootTime::now)) >= UNCONNECTED {
                        let _ = self.reports.send(Report::Stale { serial: self.serial, message: None });
                        return;
                    }
                    RETRY_AFTER
                }
                Sent::Gone => return,
            };
            queue.backlog.discard();
            rest = Some(Instant::now() + pause);
        }
    }

    /// Starts what can be started now. Returns how long to rest, if nothing may be handed over.
    fn act<'s>(&'s self, queue: &mut Queue, doing: &mut Doing<'s>) -> Option<Duration> {
        loop {
            if let Some(pause) = self.hindered() {
                queue.backlog.discard();
                return Some(pause);
            }
            let mut outlook = self.in_flight.outlook();
            outlook.room = outlook.room.min(AT_ONCE.saturating_sub(queue.sending));
            outlook.of_runs = !queue.of_runs.is_empty();
            for (id, chat) in &queue.of_runs {
                outlook.flying.insert(*id);
                outlook.busy.insert(chat.clone());
            }
            match queue.backlog.next(&outlook, BootTime::now()) {
                Next::Wait => return None,
                Next::Look(limit) => doing.push(self.look(limit, outlook, queue.behind.clone()).boxed()),
                Next::Send(rows) => self.hand_over(rows, outlook.put_off, queue, doing),
            }
        }
    }

    /// Starts to hand these messages over: those of runs one by one, the others side by side.
    fn hand_over<'s>(&'s self, rows: Vec<Waiting>, put_off: u64, queue: &mut Queue, doing: &mut Doing<'s>) {
        let read_at = queue.backlog.read_at();
        let (of_runs, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.run.is_some());
        for row in others {
            let Some(flying) = self.put(&row, read_at, put_off) else { return queue.backlog.discard() };
            queue.sending += 1;
            doing.push(async move { Done::Sent(self.send(row, flying).await) }.boxed());
        }
        if !of_runs.is_empty() {
            queue.of_runs = of_runs.iter().map(|row| (row.id, row.chat.clone())).collect();
            doing.push(self.send_of_runs(of_runs, read_at, put_off).boxed());
        }
    }

    /// Takes notice of what has ended. Returns the end of a hand-over, or what hinders the next ones.
    fn done(&self, queue: &mut Queue, done: Done) -> Option<Sent> {
        match done {
            Done::Sent(sent) => {
                queue.sending -= 1;
                Some(sent)
            }
            Done::OfRuns { sent, left } => {
                queue.of_runs.clear();
                if left {
                    queue.backlog.discard();
                }
                Some(sent)
            }
            Done::Looked(None) => None,
            Done::Looked(Some(Ok(Looked { found, behind }))) => {
                queue.behind = behind;
                queue.backlog.looked(found, BootTime::now());
                None
            }
            Done::Looked(Some(Err(error))) => {
                tracing::warn!(account = %self.fence.account, %error, "the outbox could not be read");
                queue.backlog.failed();
                Some(Sent::Hindered(RETRY_AFTER))
            }
        }
    }

    async fn look(&self, limit: usize, outlook: Outlook, behind: String) -> Done {
        let looked = look(&self.context.store, self.fence, limit, &outlook, behind);
        Done::Looked(self.stop.run_until_cancelled(looked).await)
    }

    /// For how long nothing may be handed over; `None` if it may be now.
    fn hindered(&self) -> Option<Duration> {
        let now = BootTime::now();
        if !self.context.trust.holds(now) {
            return Some(RETRY_AFTER);
        }
        self.in_flight.held(now)
    }

    /// Hands texts of runs over, one by one. They are marked first, and those that were called back are left out.
    async fn send_of_runs(&self, mut rows: Vec<Waiting>, read_at: BootTime, put_off: u64) -> Done {
        let mut marked = match self.mark(&mut rows).await {
            Ok(marked) => marked,
            Err(pause) => return Done::OfRuns { sent: Sent::Hindered(pause), left: true },
        };
        let here_at = BootTime::now();
        let (mut sent, mut left, mut is_first) = (Sent::Yes, false, true);
        for row in rows {
            let now = BootTime::now();
            if let Some(pause) = self.hindered() {
                sent = Sent::Hindered(pause);
            }
            if sent != Sent::Yes || has_expired(&row, read_at, now) || !is_first && now.since(here_at) >= FRESH {
                left = true;
                continue;
            }
            let Some(flying) = self.put(&row, read_at, put_off) else {
                left = true;
                continue;
            };
            is_first = false;
            let id = row.id;
            sent = self.send(row, flying).await;
            if sent != Sent::Unconnected {
                marked.remove(&id);
            }
        }
        self.unmark(marked).await;
        Done::OfRuns { sent, left }
    }

    /// Marks texts of runs as handed over, because they are about to be, and removes those that were called back.
    /// Returns those that were marked for the first time.
    async fn mark(&self, rows: &mut Vec<Waiting>) -> Result<HashSet<MessageId>, Duration> {
        let of_runs: Vec<MessageId> = rows.iter().map(|row| row.id).collect();
        match answered(handing::mark(self.context.store.under(self.fence), &of_runs)).await {
            Ok(marked) => {
                rows.retain(|row| marked.iter().any(|marked| marked.id == row.id));
                Ok(marked.into_iter().filter(|marked| marked.first).map(|marked| marked.id).collect())
            }
            Err(error) => {
                tracing::warn!(account = %self.fence.account, %error, "it could not be written what is about to be sent");
                Err(RETRY_AFTER)
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

    /// Notes that a message is about to be handed over. `None` if it may not be, since its chat is busy or the sender was
    /// stopped.
    fn put(&self, row: &Waiting, read_at: BootTime, put_off: u64) -> Option<Flying> {
        let account = self.fence.account;
        let age = Duration::try_from_secs_f64(row.age_s).unwrap_or_default();
        let step = trace::process(Destination::Outbox, row.trace.as_deref()).account(account).message(&row.id);
        let flying = Flying {
            id: row.id,
            chat: row.chat.clone(),
            attempts: row.attempts + 1,
            accepted: BootTime::at(read_at.since(BootTime::at(age))),
            since: BootTime::now(),
            answer: Answer::None,
            step,
        };
        if !self.in_flight.put(&row.whatsapp_id, flying.clone(), put_off) {
            return None;
        }
        // checked after `put`: an actor that stops the sender and then finds nothing in flight can rely on that
        if self.stop.is_cancelled() {
            self.in_flight.forget(row.id);
            return None;
        }
        Some(flying)
    }

    /// Hands one message to the connection.
    async fn send(&self, row: Waiting, flying: Flying) -> Sent {
        let (account, step) = (self.fence.account, flying.step);
        let handing = step.hand_over();
        let handed = self.link.send_text(&row.chat, &row.whatsapp_id, &row.body).await;
        handing.heard(&handed);
        step.heard(&handed);
        match handed {
            Ok(()) => Sent::Yes,
            Err(SendError::NotConnected) => {
                self.in_flight.forget(row.id);
                Sent::Unconnected
            }
            Err(SendError::Rejected(reason)) => {
                // it stays in flight until the actor has written the failure, so that it is not read again
                let _ = self.reports.send(Report::Refused { whatsapp_id: row.whatsapp_id, reason });
                Sent::Yes
            }
            Err(SendError::Unknown(what)) => {
                tracing::warn!(%account, message = %row.id, %what, "the outcome of a send is unknown");
                let _ = self.reports.send(Report::Stale { serial: self.serial, message: Some(row.id) });
                Sent::Gone
            }
        }
    }
}
