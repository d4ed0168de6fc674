//! A WhatsApp that tests drive by hand: it does nothing by itself and records what was asked of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;
use worker::link::{
    CloseReason, Connector, Group, Link, LinkError, LinkEvent, LinkEvents, LinkSender, OpenSpec, SendError,
};

/// Opens fake links and keeps each of them.
#[derive(Default)]
pub(crate) struct FakeConnector {
    links: Mutex<Vec<Arc<FakeLink>>>,
    refusals: Mutex<VecDeque<LinkError>>,
}

impl FakeConnector {
    /// A connector that accepts every open.
    #[must_use]
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Makes the next open fail with this error.
    pub(crate) fn refuse(&self, error: LinkError) {
        locked(&self.refusals).push_back(error);
    }

    /// All links opened so far, in order.
    #[must_use]
    pub(crate) fn links(&self) -> Vec<Arc<FakeLink>> {
        locked(&self.links).clone()
    }

    /// The link opened last.
    #[must_use]
    pub(crate) fn last(&self) -> Option<Arc<FakeLink>> {
        locked(&self.links).last().cloned()
    }
}

#[async_trait]
impl Connector for FakeConnector {
    async fn open(&self, spec: OpenSpec, events: LinkEvents) -> Result<Arc<dyn Link>, LinkError> {
        if let Some(error) = locked(&self.refusals).pop_front() {
            return Err(error);
        }
        let link = Arc::new(FakeLink {
            sender: events.sender(spec.serial),
            calls: Mutex::default(),
            sends: Mutex::default(),
            slow: Mutex::default(),
        });
        locked(&self.links).push(Arc::clone(&link));
        Ok(link)
    }
}

/// A call to a fake link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// A text was sent.
    Send {
        /// The chat.
        chat: String,
        /// The message's id.
        whatsapp_id: String,
        /// The text.
        text: String,
    },
    /// The groups were asked for.
    Groups,
    /// A pairing code was asked for.
    PairingCode(String),
    /// A passkey was presented.
    PresentPasskey(String),
    /// The passkey's code was confirmed.
    ConfirmPasskey,
    /// The device was told to log out.
    Logout,
    /// The link was told to close.
    Close,
    /// The link was told to drop.
    Abort,
}

/// A link that does what the test says.
pub(crate) struct FakeLink {
    sender: LinkSender,
    calls: Mutex<Vec<Call>>,
    sends: Mutex<VecDeque<Result<(), SendError>>>,
    slow: Mutex<Option<(String, Arc<Notify>)>>,
}

impl FakeLink {
    /// Emits an event to the session.
    pub(crate) fn emit(&self, event: LinkEvent) {
        self.sender.emit(event);
    }

    /// Ends the link for this reason.
    pub(crate) fn end(&self, reason: CloseReason) {
        self.sender.close(reason);
    }

    /// Whether it has ended.
    #[must_use]
    pub(crate) fn is_over(&self) -> bool {
        self.sender.is_closed()
    }

    /// Queues the outcome of a coming send. A send without a queued outcome succeeds.
    pub(crate) fn next_send(&self, outcome: Result<(), SendError>) {
        locked(&self.sends).push_back(outcome);
    }

    /// Makes sends to this chat wait until the returned `Notify` is notified.
    pub(crate) fn hold_sends_to(&self, chat: &str) -> Arc<Notify> {
        let go = Arc::new(Notify::new());
        *locked(&self.slow) = Some((chat.to_owned(), Arc::clone(&go)));
        go
    }

    /// The calls so far, in order.
    #[must_use]
    pub(crate) fn calls(&self) -> Vec<Call> {
        locked(&self.calls).clone()
    }

    /// The ids sent so far, in order.
    #[must_use]
    pub(crate) fn sent(&self) -> Vec<String> {
        let calls = locked(&self.calls);
        let ids = calls.iter().filter_map(|call| match call {
            Call::Send { whatsapp_id, .. } => Some(whatsapp_id.clone()),
            _ => None,
        });
        ids.collect()
    }

    fn record(&self, call: Call) {
        locked(&self.calls).push(call);
    }

    fn open(&self) -> Result<(), LinkError> {
        if self.sender.is_closed() { Err(LinkError::NotConnected) } else { Ok(()) }
    }
}

#[async_trait]
impl Link for FakeLink {
    async fn send_text(&self, chat: &str, whatsapp_id: &str, text: &str) -> Result<(), SendError> {
        if self.sender.is_closed() {
            return Err(SendError::NotConnected);
        }
        self.record(Call::Send { chat: chat.to_owned(), whatsapp_id: whatsapp_id.to_owned(), text: text.to_owned() });
        let slow = locked(&self.slow).clone().filter(|(slow, _)| slow == chat);
        if let Some((_, go)) = slow {
            go.notified().await;
        }
        locked(&self.sends).pop_front().unwrap_or(Ok(()))
    }

    async fn groups(&self) -> Result<Vec<Group>, LinkError> {
        self.open()?;
        self.record(Call::Groups);
        Ok(Vec::new())
    }

    async fn pairing_code(&self, phone: &str) -> Result<String, LinkError> {
        self.open()?;
        self.record(Call::PairingCode(phone.to_owned()));
        Ok("ABCD-1234".to_owned())
    }

    async fn present_passkey(&self, credential: &str) -> Result<(), LinkError> {
        self.open()?;
        self.record(Call::PresentPasskey(credential.to_owned()));
        Ok(())
    }

    async fn confirm_passkey(&self) -> Result<(), LinkError> {
        self.open()?;
        self.record(Call::ConfirmPasskey);
        Ok(())
    }

    async fn logout(&self) -> Result<(), LinkError> {
        self.record(Call::Logout);
        let told = self.open();
        self.sender.close(CloseReason::Requested);
        told
    }

    async fn close(&self) {
        self.record(Call::Close);
        self.sender.close(CloseReason::Requested);
    }

    fn abort(&self) {
        self.record(Call::Abort);
        self.sender.close(CloseReason::Requested);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
