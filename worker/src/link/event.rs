//! What a link reports to its session, as plain data.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use process::telemetry::metrics::labels::LinkEnd;

/// Something that happened on a link. `Debug` prints only the kind: codes, numbers and texts stay out of the logs.
#[derive(Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// A QR code to show. The next one replaces it.
    QrCode {
        /// The text that the QR code encodes.
        code: String,
        /// How long WhatsApp accepts it.
        lifetime: Duration,
    },
    /// WhatsApp has no further QR codes for this connection. Unless a pairing code is outstanding, `Closed` follows.
    QrExhausted,
    /// WhatsApp asks for a new pairing code, because the one shown is used up.
    PairingCodeStale,
    /// WhatsApp asks the phone's owner for a passkey. Answer with
    /// [`present_passkey`](super::Link::present_passkey).
    PasskeyRequired {
        /// WebAuthn request options, JSON, as WhatsApp sent them.
        options: String,
    },
    /// WhatsApp accepted the passkey. The owner compares this code with the one on the phone, and confirms with
    /// [`confirm_passkey`](super::Link::confirm_passkey).
    PasskeyCode {
        /// Eight characters with a dash in the middle.
        code: String,
    },
    /// The phone accepted this device. `Closed(RestartRequired)` follows, and the next link logs in.
    Paired {
        /// The phone number, digits only.
        number: String,
        /// The device's address.
        jid: String,
        /// The device's LID address, which hides the phone number.
        lid: Option<String>,
        /// The phone's platform in WhatsApp's words: `android`, `iphone`, `smba`, …
        platform: String,
    },
    /// The phone tried to link this device and failed.
    PairFailed {
        /// The reason, for a person.
        reason: String,
    },
    /// Logged in. Messages are accepted from now on.
    Connected {
        /// The phone number, digits only.
        number: String,
        /// The device's address.
        jid: String,
        /// The device's LID address, which hides the phone number.
        lid: Option<String>,
        /// The name that recipients see; empty if not known.
        push_name: String,
    },
    /// WhatsApp's server accepted (`error` is `None`) or refused a message.
    Ack {
        /// The id of the message.
        whatsapp_id: String,
        /// WhatsApp's error code, such as 463 (reach-out time-lock); 0 if the refusal carried no number.
        error: Option<u16>,
        /// When the server accepted it, if it said so.
        at: Option<DateTime<Utc>>,
    },
    /// Messages of ours arrived at a recipient's device, or were read there.
    Receipt {
        /// The ids of the messages.
        whatsapp_ids: Vec<String>,
        /// What happened to them.
        kind: ReceiptKind,
        /// The chat they were sent to.
        chat: String,
        /// Whose receipt it is, in a group.
        participant: Option<String>,
        /// When, by the server's clock.
        at: DateTime<Utc>,
    },
    /// Messages received, in order of arrival. WhatsApp is told "received" only after the delivery's
    /// [`Commit`](super::Commit) was confirmed. Otherwise it sends them again with the same ids.
    Messages(Vec<InboundMessage>),
    /// The account joined or left a group, or a group's name or rules changed: the groups must be read again.
    GroupsChanged,
    /// The end of this link. It is always the last event, and comes exactly once.
    Closed(CloseReason),
}

impl LinkEvent {
    /// The kind's name, for logs and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::QrCode { .. } => "qr_code",
            Self::QrExhausted => "qr_exhausted",
            Self::PairingCodeStale => "pairing_code_stale",
            Self::PasskeyRequired { .. } => "passkey_required",
            Self::PasskeyCode { .. } => "passkey_code",
            Self::Paired { .. } => "paired",
            Self::PairFailed { .. } => "pair_failed",
            Self::Connected { .. } => "connected",
            Self::Ack { .. } => "ack",
            Self::Receipt { .. } => "receipt",
            Self::Messages(_) => "messages",
            Self::GroupsChanged => "groups_changed",
            Self::Closed(_) => "closed",
        }
    }
}

impl fmt::Debug for LinkEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(reason) => f.debug_tuple("Closed").field(reason).finish(),
            other => f.write_str(other.kind()),
        }
    }
}

/// What a receipt reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptKind {
    /// It arrived on a device of the recipient.
    Delivered,
    /// The recipient saw it.
    Read,
    /// The recipient played it (voice, video).
    Played,
}

/// What an inbound message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// Plain text, also with a link preview or a quote.
    Text,
    /// A picture.
    Image,
    /// A video.
    Video,
    /// A voice note or an audio file.
    Audio,
    /// A file.
    Document,
    /// A sticker.
    Sticker,
    /// A contact card.
    Contact,
    /// A place.
    Location,
    /// A reaction to another message. The text is the emoji, or empty if the reaction was withdrawn.
    Reaction,
    /// A poll.
    Poll,
    /// Anything else.
    Other,
}

impl MessageKind {
    /// The word used in events and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
            Self::Contact => "contact",
            Self::Location => "location",
            Self::Reaction => "reaction",
            Self::Poll => "poll",
            Self::Other => "other",
        }
    }
}

/// A received message. `Debug` prints only the id and the kind.
#[derive(Clone, PartialEq, Eq)]
pub struct InboundMessage {
    /// The chat: a phone's address, or a group's.
    pub chat: String,
    /// The writer's address, by phone number if WhatsApp told it.
    pub sender: String,
    /// The writer's phone number, digits only, if WhatsApp told it.
    pub sender_number: Option<String>,
    /// The writer's LID address (`…@lid`), if WhatsApp told it.
    pub sender_lid: Option<String>,
    /// WhatsApp's id: unique within chat and sender.
    pub whatsapp_id: String,
    /// What it carries.
    pub kind: MessageKind,
    /// The text, caption or emoji, if there is one.
    pub text: Option<String>,
    /// When it was sent, by the server's clock.
    pub at: DateTime<Utc>,
    /// Whether the account's own phone or another of its devices wrote it.
    pub from_me: bool,
    /// The name that the writer chose; empty if not told.
    pub push_name: String,
}

impl fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundMessage")
            .field("whatsapp_id", &self.whatsapp_id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// WhatsApp asks for a new connection (515), as it does after pairing. Open one at once.
    RestartRequired,
    /// Another connection with the same credentials took over. Check lease and epoch before anything else.
    Replaced,
    /// The device was unlinked, by the phone or by WhatsApp. The credentials are useless now.
    LoggedOut {
        /// The reason, for a person.
        reason: String,
    },
    /// WhatsApp banned the account for a while.
    Banned {
        /// WhatsApp's code (101 messages to too many strangers, 102 blocked by users, 104 the same message too often,
        /// …).
        code: i32,
        /// How long the ban lasts from now.
        expires_in: Duration,
    },
    /// The client's version is too old for WhatsApp: a newer one must be configured or fetched.
    Outdated,
    /// WhatsApp refused the login for another reason.
    Refused {
        /// WhatsApp's code. A 5xx is temporary, others are not.
        code: u16,
    },
    /// The connection could not be made or was lost: network failure, server restart, or silence.
    Dropped(String),
    /// WhatsApp's QR codes ran out before a phone scanned one.
    PairingExpired,
    /// Our side asked for it: `close`, `logout`, `abort`, or the last handle was dropped.
    Requested,
    /// A write found that another owner has claimed the account.
    Fenced,
    /// A record of the account is sealed under this key, which this worker does not have. Nothing was changed.
    UnknownKey(String),
}

impl CloseReason {
    /// The reason's name, for logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.word().as_str()
    }

    /// The reason as a metric label.
    #[must_use]
    pub fn word(&self) -> LinkEnd {
        match self {
            Self::RestartRequired => LinkEnd::RestartRequired,
            Self::Replaced => LinkEnd::Replaced,
            Self::LoggedOut { .. } => LinkEnd::LoggedOut,
            Self::Banned { .. } => LinkEnd::Banned,
            Self::Outdated => LinkEnd::Outdated,
            Self::Refused { .. } => LinkEnd::Refused,
            Self::Dropped(_) => LinkEnd::Dropped,
            Self::PairingExpired => LinkEnd::PairingExpired,
            Self::Requested => LinkEnd::Requested,
            Self::Fenced => LinkEnd::Fenced,
            Self::UnknownKey(_) => LinkEnd::UnknownKey,
        }
    }
}
