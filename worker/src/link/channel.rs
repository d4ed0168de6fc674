//! How events travel from a link to its session: never blocking the client library, never losing an ack.
//!
//! The queue is bounded by kind. Events that only our own doings cause (acks, pairing, the end) are always taken: there
//! are no more of them than messages in flight. Receipts are dropped, and counted, when more than
//! [`RECEIPT_BACKLOG`] events wait: a lost receipt leaves a message at "sent", never sends it twice. Inbound messages wait
//! for their commit, one batch at a time, which stops the library from reading further.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::event::{CloseReason, LinkEvent};

/// Events that may wait before receipts are dropped.
pub const RECEIPT_BACKLOG: usize = 8_192;

/// Makes the channel of one session; it serves all its links, one after the other.
#[must_use]
pub fn channel() -> (LinkEvents, LinkInbox) {
    let (queue, waiting) = mpsc::unbounded_channel();
    let gauge = Arc::new(Gauge::default());
    (LinkEvents { queue, gauge: Arc::clone(&gauge) }, LinkInbox { waiting, gauge })
}

#[derive(Debug, Default)]
struct Gauge {
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

/// The sending side, handed to [`Connector::open`](super::Connector::open).
#[derive(Debug, Clone)]
pub struct LinkEvents {
    queue: mpsc::UnboundedSender<Delivery>,
    gauge: Arc<Gauge>,
}

impl LinkEvents {
    /// The sender of one link, whose events all carry `generation`.
    #[must_use]
    pub fn sender(&self, generation: i64) -> LinkSender {
        LinkSender { events: self.clone(), generation, closed: Mutex::new(false) }
    }
}

/// The receiving side, held by the session.
#[derive(Debug)]
pub struct LinkInbox {
    waiting: mpsc::UnboundedReceiver<Delivery>,
    gauge: Arc<Gauge>,
}

impl LinkInbox {
    /// The next event; `None` when every sender is gone. Safe to cancel.
    pub async fn recv(&mut self) -> Option<Delivery> {
        let next = self.waiting.recv().await;
        self.taken(next)
    }

    /// The next event, if one waits.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        let next = self.waiting.try_recv().ok();
        self.taken(next)
    }

    /// How many receipts were dropped so far because too many events waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.gauge.dropped.load(Ordering::Relaxed)
    }

    fn taken(&self, next: Option<Delivery>) -> Option<Delivery> {
        if next.is_some() {
            self.gauge.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        next
    }
}

/// An event on its way to the session.
#[derive(Debug)]
pub struct Delivery {
    /// The pairing generation that the link was opened with.
    pub generation: i64,
    /// What happened.
    pub event: LinkEvent,
    /// Present with [`LinkEvent::Messages`]: to be confirmed once they are stored.
    pub commit: Option<Commit>,
}

/// The promise that inbound messages are stored. Dropped without [`Commit::confirm`], it means "not stored": the link
/// closes, and WhatsApp hands the messages out again on the next one.
#[derive(Debug)]
pub struct Commit(oneshot::Sender<()>);

impl Commit {
    /// They are stored: WhatsApp may forget them.
    pub fn confirm(self) {
        // The link may have ended meanwhile; then WhatsApp hands them out again, with the same ids.
        let _ = self.0.send(());
    }
}

/// Emits the events of one link and sees to it that `Closed` comes last and once.
#[derive(Debug)]
pub struct LinkSender {
    events: LinkEvents,
    generation: i64,
    closed: Mutex<bool>,
}

impl LinkSender {
    /// Emits an event; after `Closed` nothing is emitted any more.
    pub fn emit(&self, event: LinkEvent) {
        self.put(event, None);
    }

    /// Emits inbound messages and waits until the session has stored them; `false` when it did not.
    pub async fn emit_and_commit(&self, event: LinkEvent) -> bool {
        let (done, stored) = oneshot::channel();
        self.put(event, Some(Commit(done)));
        stored.await.is_ok()
    }

    /// Emits the end, unless it was already.
    pub fn close(&self, reason: CloseReason) {
        self.put(LinkEvent::Closed(reason), None);
    }

    /// Whether the end was emitted.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, event: LinkEvent, commit: Option<Commit>) {
        // Held while sending: an event of another thread can't slip in behind `Closed`.
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if *closed {
            return;
        }
        *closed = matches!(event, LinkEvent::Closed(_));
        let gauge = &self.events.gauge;
        if matches!(event, LinkEvent::Receipt { .. }) && gauge.waiting.load(Ordering::Relaxed) >= RECEIPT_BACKLOG {
            gauge.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        gauge.waiting.fetch_add(1, Ordering::Relaxed);
        if self.events.queue.send(Delivery { generation: self.generation, event, commit }).is_err() {
            gauge.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
