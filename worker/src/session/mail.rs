//! The mail of a session: its sender, what is on its way, and what has come back and is not written yet.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::id::MessageId;
use process::clock::BootTime;
use store::Fence;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::in_flight::InFlight;
use super::inbound::Gathered;
use super::machine::event::Event;
use super::outbox::{Report, Sender};
use crate::context::Context;
use crate::link::{Commit, InboundMessage, Link, ReceiptKind};

pub(super) struct Mail {
    in_flight: Arc<InFlight>,
    bell: Arc<Notify>,
    reports_in: mpsc::UnboundedReceiver<Report>,
    reports_out: mpsc::UnboundedSender<Report>,
    sender: Option<CancellationToken>,
    gathered: Gathered,
}

impl Mail {
    pub(super) fn new() -> Self {
        let (reports_out, reports_in) = mpsc::unbounded_channel();
        let (in_flight, bell) = (Arc::default(), Arc::default());
        Self { in_flight, bell, reports_in, reports_out, sender: None, gathered: Gathered::default() }
    }

    /// Hands over what waits in the rows by this connection, until [`Self::stop`].
    pub(super) fn start(&mut self, context: Arc<Context>, fence: Fence, link: Arc<dyn Link>, serial: i64) {
        let stop = CancellationToken::new();
        let sender = Sender {
            context,
            fence,
            link,
            serial,
            in_flight: Arc::clone(&self.in_flight),
            bell: Arc::clone(&self.bell),
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

    /// Hands over nothing more. What is on its way may still be answered.
    pub(super) fn stop(&mut self) {
        if let Some(stop) = self.sender.take() {
            stop.cancel();
        }
    }

    pub(super) const fn is_sending(&self) -> bool {
        self.sender.is_some()
    }

    /// There may be something to send.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// The next that a sender says.
    pub(super) async fn hear(&mut self) -> Option<Report> {
        self.reports_in.recv().await
    }

    /// Takes what a sender said; `serial` is the connection that is there. Answers what the machine is to know.
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

    /// The message that has waited longest for an answer, for the machine to judge.
    pub(super) fn oldest(&self) -> Option<Event> {
        self.in_flight.oldest(BootTime::now()).map(Event::Waits)
    }

    /// Whether nothing is on its way, and all that was is written.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// The session is logged in from now on, or not any more.
    pub(super) fn is_online(&self, online: bool) {
        self.in_flight.is_online(online, BootTime::now());
    }

    /// Nothing is to be sent for so long.
    pub(super) fn hold(&self, left: Duration) {
        self.in_flight.hold(BootTime::now() + left);
    }

    /// WhatsApp's answer to a message of ours; `hold` as for [`Gathered::ack`].
    pub(super) fn ack(&mut self, whatsapp_id: &str, error: Option<u16>, hold: Duration) {
        self.gathered.ack(&self.in_flight, whatsapp_id, error, hold);
        self.ring();
    }

    /// A recipient's phone has messages, or showed them.
    pub(super) fn receipt(&mut self, whatsapp_ids: Vec<String>, kind: ReceiptKind, at: DateTime<Utc>) {
        if self.gathered.receipt(&self.in_flight, whatsapp_ids, kind, at) {
            self.ring();
        }
    }

    /// Messages came in; the commit tells WhatsApp that they are stored.
    pub(super) fn messages(&mut self, messages: Vec<InboundMessage>, commit: Option<Commit>) {
        self.gathered.messages(messages, commit);
    }

    /// The connection is gone: what it took and never answered goes out again.
    pub(super) fn unanswered(&mut self) {
        self.gathered.unanswered(&self.in_flight);
    }

    /// It was to blame too often: it fails.
    pub(super) fn give_up(&mut self, message: MessageId, attempts: i32, times: i32) {
        self.gathered.given_up(message, attempts, times);
    }

    /// Whether all that has come back is written.
    pub(super) fn is_written(&self) -> bool {
        self.gathered.is_empty()
    }

    /// Writes what has come back, as [`Gathered::write`].
    ///
    /// # Errors
    /// `Fenced` under an old epoch; else when the database fails.
    pub(super) async fn write(&mut self, context: &Arc<Context>, fence: Fence) -> store::Result<()> {
        self.gathered.write(context, fence, &self.in_flight).await
    }

    /// What has come back stays unwritten: the next owner sends again, with the same ids.
    pub(super) fn forget(&mut self) {
        self.gathered = Gathered::default();
    }
}
