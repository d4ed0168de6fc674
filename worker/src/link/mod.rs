//! The interface to WhatsApp, in our own terms. One `Link` is one connection attempt of one account. Nothing outside
//! this directory names the client library.
//!
//! A link never reconnects. However it ends, its last event is exactly one [`LinkEvent::Closed`]. The session's machine
//! decides whether and when to open the next link, after lease and epoch were checked again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use store::Fence;

pub mod channel;
mod credentials;
pub mod event;
mod right;
mod translate;
pub mod whatsapp;

pub use channel::{Commit, Delivery, LinkEvents, LinkInbox, LinkSender, channel};
pub use event::{CloseReason, InboundMessage, LinkEvent, MessageKind, ReceiptKind};
pub use right::MayAct;
pub use whatsapp::address::{DEFAULT_URL, check_url};

/// The time limit of [`Link::send_text`]. After it, the call returns [`SendError::Unknown`].
pub const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// The time limit of [`Link::groups`], [`Link::pairing_code`], the calls about passkeys, and [`Connector::open`].
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The time limit of [`Link::logout`] and [`Link::close`].
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);

/// The account to open, and the right to act for it.
#[derive(Debug, Clone)]
pub struct OpenSpec {
    /// The right to write for this account. A write that finds it lost ends the link with [`CloseReason::Fenced`].
    pub fence: Fence,
    /// The number of this link within its session. Every event of the link carries it.
    pub serial: i64,
    /// The account's label. The phone shows it in its list of linked devices, and it is the push name until the phone
    /// tells its own.
    pub label: String,
    /// Nothing is sent to WhatsApp when this does not hold any more.
    pub may_act: MayAct,
}

/// Opens links. There is one per process. Tests have a double of their own.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Loads the account's credentials and starts to connect; an account without credentials starts to pair. Returns
    /// before the connection is up: events report its progress. Limited by [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// If the credentials cannot be read or the client cannot be built. Then there is no link and no event.
    async fn open(&self, spec: OpenSpec, events: LinkEvents) -> Result<Arc<dyn Link>, LinkError>;
}

/// One connection attempt of one account. Dropping the last handle aborts it.
#[async_trait]
pub trait Link: Send + Sync {
    /// Hands a text to WhatsApp. `Ok` means that it was written to the socket. The message counts as sent only when
    /// [`LinkEvent::Ack`] names its id without an error.
    ///
    /// `chat` is a canonical JID. For the recipient, a second call with the same `whatsapp_id` is the same message.
    /// Limited by [`SEND_TIMEOUT`].
    ///
    /// # Errors
    /// See [`SendError`]. Only [`SendError::Unknown`] leaves open whether the message went out.
    async fn send_text(&self, chat: &str, whatsapp_id: &str, text: &str) -> Result<(), SendError>;

    /// The groups that the account takes part in. Limited by [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// If there is no connection, or WhatsApp does not answer.
    async fn groups(&self) -> Result<Vec<Group>, LinkError>;

    /// Asks WhatsApp for a pairing code for this phone number (digits, international). The phone's owner types the code
    /// into the phone. Waits until the connection can take the request. Limited by [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// If the number is malformed, WhatsApp refuses (it limits how often a number may ask), or the link ends.
    async fn pairing_code(&self, phone: &str) -> Result<String, LinkError>;

    /// Answers WhatsApp's request for a passkey with the owner's WebAuthn credential (JSON, as a browser gives it). The
    /// code to compare follows as an event. Limited by [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// If the credential is malformed, WhatsApp does not accept it, or the link ends.
    async fn present_passkey(&self, credential: &str) -> Result<(), LinkError>;

    /// Confirms that the owner sees the same code on the phone, which completes the link. Limited by [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// If there is no code to confirm, WhatsApp refuses, or the link ends.
    async fn confirm_passkey(&self) -> Result<(), LinkError>;

    /// Unlinks this device from the phone, as far as possible, and closes. Limited by [`CLOSE_TIMEOUT`]. The
    /// credentials stay; the caller deletes them.
    ///
    /// # Errors
    /// If WhatsApp could not be told (no connection, no answer). The link is closed all the same.
    async fn logout(&self) -> Result<(), LinkError>;

    /// Ends the link in order: stores what is buffered, closes the socket, and returns after [`LinkEvent::Closed`] was
    /// emitted. May be called again. Limited by [`CLOSE_TIMEOUT`].
    async fn close(&self);

    /// Drops the socket at once and stores nothing more. This is for a session that lost its right to act.
    /// [`LinkEvent::Closed`] follows.
    fn abort(&self);
}

/// A group, as WhatsApp describes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Group {
    /// Its address.
    pub jid: String,
    /// Its name.
    pub subject: String,
    /// Number of participants; 0 if WhatsApp did not say.
    pub size: u32,
    /// Whether this account may write to it.
    pub can_post: bool,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("size", &self.size).field("can_post", &self.can_post).finish_non_exhaustive()
    }
}

/// Why a message was not handed over. The texts are for people, and contain no phone number and no message text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no connection. The message certainly did not go out.
    #[error("not connected")]
    NotConnected,
    /// WhatsApp or the client refused this message for good. It did not go out, and a second attempt would fail in the
    /// same way.
    #[error("{0}")]
    Rejected(String),
    /// It may or may not have gone out: send it again later with the same id.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

impl process::telemetry::trace::Fault for SendError {
    fn fault(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotConnected => "not_connected",
            Self::Rejected(_) => "rejected",
            Self::Unknown(_) => "unknown",
        })
    }
}

/// Why a link could not be opened or did not answer. The texts contain no phone number and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is no connection, or it ended meanwhile.
    #[error("not connected")]
    NotConnected,
    /// WhatsApp did not answer in time.
    #[error("no answer from WhatsApp in time")]
    Timeout,
    /// Another owner has claimed the account.
    #[error("fenced: the account was claimed by another owner or removed")]
    Fenced,
    /// The account's credentials are sealed under this key, which this worker does not have.
    #[error("credentials are sealed under key `{0}`, which is not configured")]
    UnknownKey(String),
    /// WhatsApp refused. The text says why, for a person.
    #[error("{0}")]
    Refused(String),
    /// Something on our side failed, such as the store or the client library.
    #[error("{0}")]
    Failed(String),
}
