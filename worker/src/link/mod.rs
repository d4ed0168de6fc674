//! The seam to WhatsApp, in our own words: one `Link` is one connection attempt of one account, and nothing outside
//! this directory names the client library.
//!
//! A link never reconnects. Whatever ends it, the last thing it says is exactly one [`LinkEvent::Closed`]; whether and
//! when to open the next one is decided by the session's machine, after lease and epoch were checked again.

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

/// No call of [`Link::send_text`] takes longer than this; then it answers [`SendError::Unknown`].
pub const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// No call of [`Link::groups`], [`Link::pairing_code`], of those about passkeys, or of [`Connector::open`] takes longer than this.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// No call of [`Link::logout`] or [`Link::close`] takes longer than this.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);

/// Which account to open, and under which right.
#[derive(Debug, Clone)]
pub struct OpenSpec {
    /// The right to write for this account; a write that finds it gone ends the link with [`CloseReason::Fenced`].
    pub fence: Fence,
    /// The account's pairing generation; every event of the link carries it.
    pub generation: i64,
    /// The account's label: shown in the phone's list of linked devices, and used as the push name until the phone
    /// tells its own.
    pub label: String,
    /// Nothing is said to WhatsApp when this holds no more.
    pub may_act: MayAct,
}

/// Opens links. One per process; tests have a double of their own.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Loads the account's credentials (an account without any starts to pair) and starts to connect. Returns before the
    /// connection is up: how that goes is told by events. Bounded by [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// When the credentials can't be read or the client can't be built; then there is no link and no event.
    async fn open(&self, spec: OpenSpec, events: LinkEvents) -> Result<Arc<dyn Link>, LinkError>;
}

/// One connection attempt of one account. Dropping the last handle aborts it.
#[async_trait]
pub trait Link: Send + Sync {
    /// Hands a text to WhatsApp. `Ok` means "written to the socket": the message counts as sent only when
    /// [`LinkEvent::Ack`] names its id without an error.
    ///
    /// `chat` is a canonical JID; a second call with the same `whatsapp_id` is the same message to whoever receives it.
    /// Bounded by [`SEND_TIMEOUT`].
    ///
    /// # Errors
    /// See [`SendError`]; only [`SendError::Unknown`] leaves open whether the message went out.
    async fn send_text(&self, chat: &str, whatsapp_id: &str, text: &str) -> Result<(), SendError>;

    /// The groups that the account takes part in. Bounded by [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// When there is no connection, or WhatsApp does not answer.
    async fn groups(&self) -> Result<Vec<Group>, LinkError>;

    /// Asks WhatsApp for a pairing code for the phone with this number (digits, international); the operator types it
    /// into the phone. Waits until the connection can take the question. Bounded by [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// When the number is malformed, WhatsApp refuses (it limits how often one number may ask), or the link ends.
    async fn pairing_code(&self, phone: &str) -> Result<String, LinkError>;

    /// Answers WhatsApp's demand for a passkey with the owner's WebAuthn credential (JSON, as a browser gives it). The code
    /// to compare follows as an event. Bounded by [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// When the credential is malformed, WhatsApp does not take it, or the link ends.
    async fn present_passkey(&self, credential: &str) -> Result<(), LinkError>;

    /// The owner sees the same code on the phone: the link is made. Bounded by [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// When there is no code to confirm, WhatsApp refuses, or the link ends.
    async fn confirm_passkey(&self) -> Result<(), LinkError>;

    /// Unlinks this device from the phone, best effort, and closes. Bounded by [`CLOSE_TIMEOUT`]. The credentials stay
    /// where they are; the caller deletes them.
    ///
    /// # Errors
    /// When WhatsApp was not told (no connection, no answer). The link is closed all the same.
    async fn logout(&self) -> Result<(), LinkError>;

    /// Ends the link in an orderly way: stores what is still buffered, closes the socket, and returns when
    /// [`LinkEvent::Closed`] has been emitted. May be called again; bounded by [`CLOSE_TIMEOUT`].
    async fn close(&self);

    /// Drops the socket at once and stores nothing more: for a session whose right to act is gone.
    /// [`LinkEvent::Closed`] follows.
    fn abort(&self);
}

/// A group as WhatsApp tells it.
#[derive(Clone, PartialEq, Eq)]
pub struct Group {
    /// Its address.
    pub jid: String,
    /// Its name.
    pub subject: String,
    /// Number of participants, 0 when WhatsApp did not say.
    pub size: u32,
    /// Whether this account may write to it.
    pub can_post: bool,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("size", &self.size).field("can_post", &self.can_post).finish_non_exhaustive()
    }
}

/// Why a message was not handed over. The texts are for people and name no number and no message text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no connection: the message certainly did not go out.
    #[error("not connected")]
    NotConnected,
    /// WhatsApp or the client refused this message for good: it did not go out, and a second try would end the same.
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

/// Why a link could not be opened or did not answer. The texts name no number and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is no connection, or it ended meanwhile.
    #[error("not connected")]
    NotConnected,
    /// No answer in time.
    #[error("no answer from WhatsApp in time")]
    Timeout,
    /// Another owner has claimed the account since.
    #[error("fenced: the account was claimed by another owner or removed")]
    Fenced,
    /// The account's credentials are sealed under this key, which this worker was not given.
    #[error("credentials are sealed under key `{0}`, which is not configured")]
    UnknownKey(String),
    /// WhatsApp said no; the text says why, for a person.
    #[error("{0}")]
    Refused(String),
    /// Something on our side failed: the store, the client library.
    #[error("{0}")]
    Failed(String),
}
