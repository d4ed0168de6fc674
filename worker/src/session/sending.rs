//! How the actor starts and stops its sender, hears its reports, and writes what is decided of a message without an answer.

use std::sync::Arc;

use domain::id::MessageId;
use process::clock::BootTime;
use store::outbox;
use tokio_util::sync::CancellationToken;

use super::actor::Actor;
use super::machine::event::Event;
use super::outbox::{Report, Sender};

impl Actor {
    pub(super) fn report(&mut self, report: Report) {
        match report {
            Report::Refused { whatsapp_id, reason } => self.gathered.refused(&self.in_flight, &whatsapp_id, reason),
            Report::Stale { serial, message } if serial == self.connection.serial() => {
                let suspect = message.and_then(|message| self.in_flight.unanswered(message, BootTime::now()));
                self.queue.push_back(Event::Stale(suspect));
            }
            Report::Stale { .. } | Report::Over => {}
        }
    }

    pub(super) fn check(&mut self) {
        if let Some(oldest) = self.in_flight.oldest(BootTime::now()) {
            self.queue.push_back(Event::Waits(oldest));
        }
    }

    pub(super) async fn blame(&mut self, message: MessageId, attempts: i32) {
        let blamed = self.persist("read how often a message was to blame", move |context, fence| async move {
            outbox::blamed(&context.pool, fence.account, message).await
        });
        let before = match blamed.await {
            Ok(before) => before,
            Err(loss) => return self.queue.push_back(Event::Lost(loss)),
        };
        let blamed = self.persist("blame a message", move |context, fence| async move {
            outbox::blame(&context.pool, fence, message, before).await
        });
        self.queue.push_back(match blamed.await {
            Ok(times) => Event::Blamed { message, attempts, times },
            Err(loss) => Event::Lost(loss),
        });
    }

    pub(super) fn give_up_message(&mut self, message: MessageId, attempts: i32, times: i32) {
        tracing::warn!(account = %self.fence.account, %message, blamed = times, "a message is given up");
        self.gathered.given_up(message, attempts, times);
    }

    pub(super) fn start_sending(&mut self) {
        let Some(link) = self.connection.link() else { return };
        let stop = CancellationToken::new();
        let sender = Sender {
            context: Arc::clone(&self.context),
            fence: self.fence,
            link,
            serial: self.connection.serial(),
            in_flight: Arc::clone(&self.in_flight),
            bell: Arc::clone(&self.bell),
            reports: self.reports_out.clone(),
            stop: stop.clone(),
        };
        self.bell.notify_one();
        let (reports, serial) = (self.reports_out.clone(), self.connection.serial());
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

    pub(super) fn stop_sending(&mut self) {
        if let Some(stop) = self.sender.take() {
            stop.cancel();
        }
    }
}
