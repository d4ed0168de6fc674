//! The connection of a session. There is at most one at a time.

use std::sync::Arc;
use std::time::Duration;

use process::clock::BootTime;
use store::Fence;
use tokio_util::sync::CancellationToken;

use super::machine::event::Event;
use crate::context::Context;
use crate::link::{CloseReason, Delivery, Link, LinkError, LinkEvents, LinkInbox, MayAct, OpenSpec, channel};

/// How long a turn from the limiter stays valid.
const TURN: Duration = Duration::from_secs(1);

/// The result of opening a connection.
pub(super) type Opened = Result<Arc<dyn Link>, LinkError>;

pub(super) struct Connection {
    link: Option<Arc<dyn Link>>,
    /// Whether a connection is being opened.
    opening: bool,
    /// Cancelled if the opening connection is given up before its turn.
    turn: CancellationToken,
    /// The number of the current or latest connection.
    serial: i64,
    events: LinkEvents,
    inbox: LinkInbox,
}

impl Connection {
    pub(super) fn new() -> Self {
        let (events, inbox) = channel();
        Self { link: None, opening: false, turn: CancellationToken::new(), serial: 0, events, inbox }
    }

    /// The open connection.
    pub(super) fn link(&self) -> Option<Arc<dyn Link>> {
        self.link.clone()
    }

    pub(super) const fn serial(&self) -> i64 {
        self.serial
    }

    pub(super) const fn is_opening(&self) -> bool {
        self.opening
    }

    /// Drops the old connection and starts to open a new one. The future's result goes to [`Self::opened`].
    pub(super) fn open(
        &mut self,
        context: Arc<Context>,
        fence: Fence,
        label: String,
        queue: bool,
    ) -> impl Future<Output = Opened> + use<> {
        if let Some(old) = self.link.take() {
            old.abort(); // never two at once
        }
        self.serial += 1;
        self.opening = true;
        self.turn = CancellationToken::new();
        let trust = Arc::clone(&context.trust);
        let may_act = MayAct::when(move || trust.holds(BootTime::now()));
        let spec = OpenSpec { fence, serial: self.serial, label, may_act };
        let (events, given_up) = (self.events.clone(), self.turn.clone());
        async move {
            let turn = async {
                loop {
                    if queue {
                        context.limiter.take().await;
                    }
                    let taken = BootTime::now();
                    let turn = context.opening.acquire().await;
                    // a session that waited here too long queues again, so that it does not connect together with later
                    // turns
                    if !queue || BootTime::now().since(taken) < TURN {
                        return turn;
                    }
                }
            };
            let Some(_turn) = given_up.run_until_cancelled(turn).await else { return Err(LinkError::NotConnected) };
            if !context.trust.holds(BootTime::now()) {
                return Err(LinkError::Failed("the right to act has run out".to_owned()));
            }
            context.connector.open(spec, events).await
        }
    }

    /// Takes the result of opening. Returns the event for the machine.
    pub(super) fn opened(&mut self, opened: Opened, fence: Fence) -> Event {
        self.opening = false;
        let error = match opened {
            Ok(link) => {
                self.link = Some(link);
                return Event::Opened;
            }
            // the connection was given up before its turn
            Err(LinkError::NotConnected) if self.turn.is_cancelled() => return Event::Closed(CloseReason::Requested),
            Err(error) => error,
        };
        tracing::warn!(account = %fence.account, %error, "no connection could be opened");
        let words = error.to_string();
        Event::Closed(match error {
            LinkError::Fenced => CloseReason::Fenced,
            LinkError::UnknownKey(key) => CloseReason::UnknownKey(key),
            LinkError::NotConnected | LinkError::Timeout | LinkError::Refused(_) | LinkError::Failed(_) => {
                CloseReason::Dropped(words)
            }
        })
    }

    /// Closes in order. Returns an event for the machine if nothing is open; otherwise the connection's last event
    /// follows.
    pub(super) fn close(&self) -> Option<Event> {
        let Some(link) = self.link() else { return self.give_up_turn() };
        // starts at once, whatever the actor writes meanwhile; the connection's last event reports the end
        tokio::spawn(async move { link.close().await });
        None
    }

    /// Drops the connection, which then stores nothing more. Returns as [`Self::close`].
    pub(super) fn abort(&self) -> Option<Event> {
        let Some(link) = &self.link else { return self.give_up_turn() };
        link.abort();
        None
    }

    /// Ends a connection that waits for its turn. If its turn has come, it opens in a moment and the machine is told.
    fn give_up_turn(&self) -> Option<Event> {
        if !self.opening {
            return Some(Event::Closed(CloseReason::Requested));
        }
        self.turn.cancel();
        None
    }

    /// The connection reported its end.
    pub(super) fn ended(&mut self) {
        self.link = None;
    }

    /// Waits for the next event of a connection.
    pub(super) async fn hear(&mut self) -> Option<Delivery> {
        self.inbox.recv().await
    }

    /// The next event, if one is waiting.
    pub(super) fn waiting(&mut self) -> Option<Delivery> {
        self.inbox.try_recv()
    }
}
