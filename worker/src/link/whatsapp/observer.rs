//! Listens to the events of the client library for one link.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wacore::types::events::{Event, EventHandler, EventInterest, EventKind, InboundMessage as Received};
use whatsapp_rust::{Client, InboundDurabilityHook};

use super::super::credentials::AccountBackend;
use super::super::translate::{self, Heard};
use super::super::{CloseReason, InboundMessage, LinkEvent, LinkSender};
use super::ask_again::Asked;

/// How long the session may take to store received messages.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(20);

/// What is known about the end of the connection before it ends.
#[derive(Default)]
pub(super) struct Journal {
    end: Mutex<Option<CloseReason>>,
    /// Cancelled when the connection must end because the session did not store the received messages.
    pub(super) uncommitted: CancellationToken,
    /// Cancelled when a phone has accepted this device.
    pub(super) paired: CancellationToken,
}

impl Journal {
    /// Records why the connection ends. The first reason counts.
    pub(super) fn note(&self, reason: CloseReason) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    /// The recorded reason.
    pub(super) fn end(&self) -> Option<CloseReason> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The library's event handler. The library calls it inline, so it never waits.
pub(super) struct Observer {
    sender: Arc<LinkSender>,
    journal: Arc<Journal>,
    client: Arc<OnceLock<Weak<Client>>>,
    asked: Asked,
}

impl Observer {
    /// An observer for one link.
    pub(super) fn new(sender: Arc<LinkSender>, journal: Arc<Journal>, asked: Asked) -> Self {
        Self { sender, journal, client: Arc::default(), asked }
    }

    /// Where the client is put once it is built.
    pub(super) fn client_slot(&self) -> Arc<OnceLock<Weak<Client>>> {
        Arc::clone(&self.client)
    }

    fn connected(&self) -> Option<LinkEvent> {
        let client = self.client.get()?.upgrade()?;
        let pn = client.pn()?;
        Some(LinkEvent::Connected {
            number: pn.user.to_string(),
            jid: pn.to_string(),
            lid: client.lid().map(|lid| lid.to_string()),
            push_name: client.push_name(),
        })
    }
}

impl EventHandler for Observer {
    fn handle_event(&self, event: Arc<Event>) {
        match translate::event(&event) {
            Heard::Event(LinkEvent::Messages(messages)) => {
                let messages = self.asked.without(messages);
                if !messages.is_empty() {
                    self.sender.emit(LinkEvent::Messages(messages));
                }
            }
            Heard::Event(event) => {
                if matches!(event, LinkEvent::Paired { .. }) {
                    self.journal.paired.cancel();
                }
                self.sender.emit(event);
            }
            Heard::LoggedIn => {
                if let Some(event) = self.connected() {
                    self.sender.emit(event);
                }
            }
            Heard::QrExhausted { over } => {
                self.sender.emit(LinkEvent::QrExhausted);
                if over {
                    self.journal.note(CloseReason::PairingExpired);
                }
            }
            Heard::End(reason) => self.journal.note(reason),
            Heard::Nothing => {}
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[
            EventKind::PairingQrCode,
            EventKind::PairingQrCodesExhausted,
            EventKind::PairingCodeRefresh,
            EventKind::PairPasskeyRequest,
            EventKind::PairPasskeyConfirmation,
            EventKind::PairPasskeyError,
            EventKind::QrScannedWithoutMultidevice,
            EventKind::PairSuccess,
            EventKind::PairError,
            EventKind::Connected,
            EventKind::ServerAck,
            EventKind::Receipt,
            EventKind::Messages,
            EventKind::GroupUpdate,
            EventKind::StreamReplaced,
            EventKind::LoggedOut,
            EventKind::TemporaryBan,
            EventKind::ClientOutdated,
            EventKind::ConnectFailure,
            EventKind::Disconnected,
        ])
    }
}

/// Passes received messages to the session and waits until they are stored. Only then is WhatsApp told "received".
pub(super) struct Inbound {
    sender: Arc<LinkSender>,
    journal: Arc<Journal>,
    backend: Arc<AccountBackend>,
}

impl Inbound {
    /// The hook of one link.
    pub(super) fn new(sender: Arc<LinkSender>, journal: Arc<Journal>, backend: Arc<AccountBackend>) -> Self {
        Self { sender, journal, backend }
    }

    /// Translates a message, or notes that nothing of it is stored.
    fn translated(&self, received: &Received) -> Option<InboundMessage> {
        let message = translate::inbound(received);
        if message.is_none() {
            let (source, id) = (&received.info.source, &received.info.id);
            self.backend.has_nothing(&source.chat.to_string(), &source.sender.to_string(), id);
        }
        message
    }
}

#[async_trait]
impl InboundDurabilityHook for Inbound {
    async fn on_messages(&self, _client: Arc<Client>, batch: &[Received]) -> anyhow::Result<()> {
        let messages: Vec<InboundMessage> = batch.iter().filter_map(|received| self.translated(received)).collect();
        if messages.is_empty() {
            return Ok(());
        }
        let stored = self.sender.emit_and_commit(LinkEvent::Messages(messages));
        if timeout(COMMIT_TIMEOUT, stored).await.unwrap_or(false) {
            return Ok(());
        }
        // The library retries only on a new connection.
        self.journal.uncommitted.cancel();
        anyhow::bail!("the messages were not stored")
    }
}
