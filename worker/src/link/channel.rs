//! How events travel from a link to its session: never blocking the client library, and never losing an
//! acknowledgement.
//!
//! The limit depends on the kind of event. Events that only our own actions cause (acknowledgements, pairing, the end)
//! are always accepted: there are no more of them than messages in flight. Receipts are dropped and counted while more
//! than [`RECEIPT_BACKLOG`] events wait: a lost receipt leaves a message at "sent", but never sends it twice. Received
//! messages wait for their commit, one batch at a time, which stops the library from reading further.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::event::{CloseReason, LinkEvent};

/// How many events may wait before receipts are dropped.
pub const RECEIPT_BACKLOG: usize = 8_192;

/// Creates the channel of one session. It serves all links of the session, one after the other.
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
    /// The sender of one link. All its events carry `serial`.
    #[must_use]
    pub fn sender(&self, serial: i64) -> LinkSender {
        LinkSender { events: self.clone(), serial, closed: Mutex::new(false) }
    }
}

/// The receiving side, held by the session.
#[derive(Debug)]
pub struct LinkInbox {
    waiting: mpsc::UnboundedReceiver<Delivery>,
    gauge: Arc<Gauge>,
}

impl LinkInbox {
    /// Waits for the next event; `None` if every sender is gone. Safe to cancel.
    pub async fn recv(&mut self) -> Option<Delivery> {
        let next = self.waiting.recv().await;
        self.taken(next)
    }

    /// The next event, if one is waiting.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        let next = self.waiting.try_recv().ok();
        self.taken(next)
    }

    /// How many receipts were dropped so far.
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
    /// The number of the link within its session, as in [`OpenSpec::serial`](super::OpenSpec::serial).
    pub serial: i64,
    /// What happened.
    pub event: LinkEvent,
    /// Present with [`LinkEvent::Messages`]: to be confirmed once the messages are stored.
    pub commit: Option<Commit>,
}

/// Confirms that received messages are stored. If it is dropped without [`Commit::confirm`], they count as not stored:
/// the link closes, and WhatsApp sends them again on the next one.
#[derive(Debug)]
pub struct Commit(oneshot::Sender<()>);

impl Commit {
    /// The messages are stored, so WhatsApp may forget them.
    pub fn confirm(self) {
        // The link may have ended meanwhile; then WhatsApp sends them again, with the same ids.
        let _ = self.0.send(());
    }
}

/// Emits the events of one link. Ensures that `Closed` is the last one and comes once.
#[derive(Debug)]
pub struct LinkSender {
    events: LinkEvents,
    serial: i64,
    closed: Mutex<bool>,
}

impl LinkSender {
    /// Emits an event. After `Closed` nothing is emitted.
    pub fn emit(&self, event: LinkEvent) {
        self.put(event, None);
    }

    /// Emits received messages and waits until the session has stored them. Returns false if it did not.
    pub async fn emit_and_commit(&self, event: LinkEvent) -> bool {
        let (done, stored) = oneshot::channel();
        self.put(event, Some(Commit(done)));
        stored.await.is_ok()
    }

    /// Emits the end of the link, unless that was done before.
    pub fn close(&self, reason: CloseReason) {
        self.put(LinkEvent::Closed(reason), None);
    }

    /// Whether the end of the link was emitted.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, event: LinkEvent, commit: Option<Commit>) {
        // The lock is held while sending, so that no event of another thread follows `Closed`.
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
        if self.events.queue.send(Delivery { serial: self.serial, event, commit }).is_err() {
            gauge.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
