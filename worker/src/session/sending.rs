//! How the actor starts its sender, and writes decisions about unanswered messages.

use std::sync::Arc;

use domain::id::MessageId;
use store::outbox;

use super::actor::Actor;
use super::machine::event::Event;

impl Actor {
    pub(super) async fn blame(&mut self, message: MessageId, attempts: i32) {
        let blamed = self.persist("read how often a message was to blame", move |context, fence| async move {
            outbox::blamed(context.store.under(fence), message).await
        });
        let before = match blamed.await {
            Ok(before) => before,
            Err(loss) => return self.queue.push_back(Event::Lost(loss)),
        };
        let blamed = self.persist("blame a message", move |context, fence| async move {
            outbox::blame(context.store.under(fence), message, before).await
        });
        self.queue.push_back(match blamed.await {
            Ok(times) => Event::Blamed { message, attempts, times },
            Err(loss) => Event::Lost(loss),
        });
    }

    pub(super) fn give_up_message(&mut self, message: MessageId, attempts: i32, times: i32) {
        tracing::warn!(account = %self.fence.account, %message, blamed = times, "a message is given up");
        self.mail.give_up(message, attempts, times);
    }

    pub(super) fn start_sending(&mut self) {
        if let Some(link) = self.connection.link() {
            self.mail.start(Arc::clone(&self.context), self.fence, link, self.connection.serial());
        }
    }
}
