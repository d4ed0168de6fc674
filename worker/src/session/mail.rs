//! The mail of a session: its sender, the messages in flight, and the results that are not written yet.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::id::MessageId;
use futures::future::BoxFuture;
use process::clock::BootTime;
use process::telemetry::metrics::labels::Loss;
use store::Fence;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::in_flight::InFlight;
use super::inbound::Gathered;
use super::machine::event::Event;
use super::outbox::{Report, Sender};
use crate::context::Context;
use crate::fleet::trust::Right;
use crate::link::{Commit, InboundMessage, Link, ReceiptKind};

/// How many results may be gathered while others are being written.
const GATHERED: usize = 256;

/// A write of gathered results. It fails if the session may not go on.
pub(super) type Writing = BoxFuture<'static, Result<(), Loss>>;

pub(super) struct Mail {
    in_flight: Arc<InFlight>,
    bell: Arc<Notify>,
    freed: Arc<Notify>,
    reports_in: mpsc::UnboundedReceiver<Report>,
    reports_out: mpsc::UnboundedSender<Report>,
    sender: Option<CancellationToken>,
    gathered: Gathered,
}

impl Mail {
    /// `bell` wakes the sender: there may be something to send.
    pub(super) fn new(bell: Arc<Notify>) -> Self {
        let (reports_out, reports_in) = mpsc::unbounded_channel();
        let (in_flight, freed) = (Arc::default(), Arc::default());
        Self { in_flight, bell, freed, reports_in, reports_out, sender: None, gathered: Gathered::default() }
    }

    /// Starts a sender on this connection. It hands over the queued messages until [`Self::stop`].
    pub(super) fn start(&mut self, context: Arc<Context>, fence: Fence, link: Arc<dyn Link>, serial: i64) {
        let stop = CancellationToken::new();
        let sender = Sender {
            context,
            fence,
            link,
            serial,
            in_flight: Arc::clone(&self.in_flight),
            bell: Arc::clone(&self.bell),
            freed: Arc::clone(&self.freed),
            reports: self.reports_out.clone(),
            stop: stop.clone(),
        };
        self.ring();
        let reports = self.reports_out.clone();
        tokio::spawn(async move {
            let ended = match tokio::spawn(sender.run()).await {
                Ok(()) => Report::Over,
                Err(error) => {
                    tracing::error!(%error, "the sender broke");
                    Report::Stale { serial, message: None }
                }
            };
            // the actor may have ended meanwhile
            let _ = reports.send(ended);
        });
        self.sender = Some(stop);
    }

    /// Stops handing over messages. Those in flight may still be answered.
    pub(super) fn stop(&mut self) {
        if let Some(stop) = self.sender.take() {
            stop.cancel();
        }
    }

    pub(super) const fn is_sending(&self) -> bool {
        self.sender.is_some()
    }

    /// Wakes the sender: there may be something to send.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for the next report of a sender.
    pub(super) async fn hear(&mut self) -> Option<Report> {
        self.reports_in.recv().await
    }

    /// Takes a report of a sender. `serial` is the number of the current connection. Returns the event for the machine,
    /// if any.
    pub(super) fn heard(&mut self, report: Report, serial: i64) -> Option<Event> {
        match report {
            Report::Refused { whatsapp_id, reason } => self.gathered.refused(&self.in_flight, &whatsapp_id, reason),
            Report::Stale { serial: of, message } if of == serial => {
                let suspect = message.and_then(|message| self.in_flight.unanswered(message, BootTime::now()));
                return Some(Event::Stale(suspect));
            }
            Report::Stale { .. } | Report::Over => {}
        }
        None
    }

    /// The message that has waited longest for an answer, as an event for the machine.
    pub(super) fn oldest(&self) -> Option<Event> {
        self.in_flight.oldest(BootTime::now()).map(Event::Waits)
    }

    /// Whether nothing is in flight and everything that was is written.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// The session logged in, or is not logged in any more.
    pub(super) fn is_online(&self, online: bool) {
        self.in_flight.is_online(online, BootTime::now());
    }

    /// Nothing is sent for this long.
    pub(super) fn hold(&self, left: Duration) {
        self.in_flight.hold(BootTime::now() + left);
    }

    /// WhatsApp's answer to a message of ours; `hold` as in [`Gathered::ack`].
    pub(super) fn ack(&mut self, whatsapp_id: &str, error: Option<u16>, hold: Duration) {
        self.gathered.ack(&self.in_flight, whatsapp_id, error, hold);
        self.freed.notify_one();
    }

    /// A recipient's phone received or showed messages.
    pub(super) fn receipt(&mut self, whatsapp_ids: Vec<String>, kind: ReceiptKind, at: DateTime<Utc>) {
        if self.gathered.receipt(&self.in_flight, whatsapp_ids, kind, at) {
            self.freed.notify_one();
        }
    }

    /// Messages were received. The commit tells WhatsApp that they are stored.
    pub(super) fn messages(&mut self, messages: Vec<InboundMessage>, commit: Option<Commit>) {
        self.gathered.messages(messages, commit);
    }

    /// The connection is gone: its unanswered messages are sent again.
    pub(super) fn unanswered(&mut self) {
        self.gathered.unanswered(&self.in_flight);
    }

    /// Fails a message that was to blame too often.
    pub(super) fn give_up(&mut self, message: MessageId, attempts: i32, times: i32) {
        self.gathered.given_up(message, attempts, times);
    }

    /// Whether nothing is gathered.
    pub(super) fn is_written(&self) -> bool {
        self.gathered.is_empty()
    }

    /// Whether more may be gathered while the results before are being written.
    pub(super) fn has_room(&self) -> bool {
        self.gathered.len() < GATHERED
    }

    /// Takes what is gathered. The future writes it; a transient failure is retried as long as the session may act.
    pub(super) fn write(&mut self, context: Arc<Context>, fence: Fence, right: Right) -> Writing {
        let gathered = std::mem::take(&mut self.gathered);
        let (in_flight, freed) = (Arc::clone(&self.in_flight), Arc::clone(&self.freed));
        Box::pin(async move {
            let written = gathered.write_all(&context, fence, &right, &in_flight).await;
            freed.notify_one();
            written
        })
    }

    /// Discards the gathered results. The next owner sends the messages again, with the same ids.
    pub(super) fn forget(&mut self) {
        self.gathered = Gathered::default();
    }
}
