//! What a session does about its sender: starts and stops it, hears its reports, and gives up what is never answered.

use std::sync::Arc;
use std::time::Duration;

use domain::id::MessageId;
use process::clock::BootTime;
use store::outbox;
use tokio_util::sync::CancellationToken;

use super::actor::Actor;
use super::machine::state::{Event, State};
use super::outbox::{Report, Sender};

/// Without an acknowledgement for this long the connection is dead, whatever it says.
const ACK_TIMEOUT: Duration = Duration::from_secs(15);
/// A message is not alone to blame when another one has waited for an answer this long as well.
const PATIENCE: Duration = Duration::from_secs(3);
/// So often a message may be to blame, each time for a connection that was in order otherwise, before it is given up.
const BLAMED_MAX: i32 = 5;

impl Actor {
    pub(super) async fn report(&mut self, report: Report) {
        match report {
            Report::Refused { whatsapp_id, reason } => self.gathered.refused(&self.in_flight, &whatsapp_id, reason),
            Report::Stale { serial, message } if serial == self.serial => self.stale(message).await,
            Report::Stale { .. } | Report::Over => {}
        }
    }

    pub(super) async fn check(&mut self) {
        if let Some((message, _)) = self.in_flight.oldest(BootTime::now()).filter(|(_, waited)| *waited > ACK_TIMEOUT) {
            self.stale(Some(message)).await;
        }
    }

    /// The connection is given up. How often a message was alone to blame for that is counted, so that it does not keep the
    /// others of its account from going out for ever.
    async fn stale(&mut self, message: Option<MessageId>) {
        self.queue.push_back(Event::Stale);
        let online = matches!(self.state, State::Online { .. });
        let Some(id) = message.filter(|_| online) else { return };
        let Some(attempts) = self.in_flight.alone(id, BootTime::now(), PATIENCE) else { return };
        let blamed = self.persist("read how often a message was to blame", move |context, fence| async move {
            outbox::blamed(&context.pool, fence.account, id).await
        });
        let before = match blamed.await {
            Ok(before) => before,
            Err(loss) => return self.queue.push_back(Event::Lost(loss)),
        };
        let blamed = self.persist("blame a message", move |context, fence| async move {
            outbox::blame(&context.pool, fence, id, before).await
        });
        match blamed.await {
            Ok(blamed) if blamed >= BLAMED_MAX => {
                tracing::warn!(account = %self.fence.account, message = %id, blamed, "a message is given up");
                self.gathered.given_up(id, attempts, blamed);
            }
            Ok(_) => {}
            Err(loss) => self.queue.push_back(Event::Lost(loss)),
        }
    }

    pub(super) fn start_sending(&mut self) {
        let Some(link) = self.link.clone() else { return };
        let stop = CancellationToken::new();
        let sender = Sender {
            context: Arc::clone(&self.context),
            fence: self.fence,
            link,
            serial: self.serial,
            in_flight: Arc::clone(&self.in_flight),
            bell: Arc::clone(&self.bell),
            reports: self.reports_out.clone(),
            stop: stop.clone(),
        };
        self.bell.notify_one();
        let (reports, serial) = (self.reports_out.clone(), self.serial);
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
