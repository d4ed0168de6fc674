//! What a link tells its session, as plain data.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use process::telemetry::metrics::labels::LinkEnd;

/// Something that happened on a link. `Debug` prints the kind alone: codes, numbers and texts stay out of logs.
#[derive(Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// A QR code to show; the next one replaces it.
    QrCode {
        /// The text to draw.
        code: String,
        /// How long WhatsApp accepts it.
        lifetime: Duration,
    },
    /// WhatsApp has no further QR codes for this connection. Unless a pairing code is outstanding, `Closed` follows.
    QrExhausted,
    /// WhatsApp asks for a new pairing code: the one shown is used up.
    PairingCodeStale,
    /// WhatsApp wants the phone's owner to prove themselves with a passkey: [`present_passkey`](super::Link::present_passkey).
    PasskeyRequired {
        /// WebAuthn request options, JSON, as WhatsApp sent them.
        options: String,
    },
    /// WhatsApp took the passkey. The owner compares this code with the phone's:
    /// [`confirm_passkey`](super::Link::confirm_passkey).
    PasskeyCode {
        /// Eight characters and a dash.
        code: String,
    },
    /// The phone accepted this device. `Closed(RestartRequired)` follows: the next link logs in.
    Paired {
        /// The phone's number, digits.
        number: String,
        /// The device's address.
        jid: String,
        /// The device's address in WhatsApp's number-free addressing.
        lid: Option<String>,
        /// What the phone calls itself: `android`, `iphone`, `smba`, …
        platform: String,
    },
    /// The phone tried to link this device and it did not work.
    PairFailed {
        /// Why, for a person.
        reason: String,
    },
    /// Logged in; sends are accepted from now on.
    Connected {
        /// The phone's number, digits.
        number: String,
        /// The device's address.
        jid: String,
        /// The device's address in WhatsApp's number-free addressing.
        lid: Option<String>,
        /// The name that recipients see; empty when not known.
        push_name: String,
    },
    /// WhatsApp's server accepted (`error` is `None`) or refused a message.
    Ack {
        /// The message.
        whatsapp_id: String,
        /// WhatsApp's code, such as 463 (reach-out time-lock); 0 when the refusal carried no number.
        error: Option<u16>,
        /// The server's time of acceptance, when it said so.
        at: Option<DateTime<Utc>>,
    },
    /// Messages of ours arrived at, or were read on, a recipient's device.
    Receipt {
        /// The messages.
        whatsapp_ids: Vec<String>,
        /// What happened to them.
        kind: ReceiptKind,
        /// The chat they were sent to.
        chat: String,
        /// In a group: whose receipt it is.
        participant: Option<String>,
        /// When, by the server's clock.
        at: DateTime<Utc>,
    },
    /// Messages received, in order of arrival. WhatsApp is told "received" only after the delivery's
    /// [`Commit`](super::Commit) was confirmed, and hands them out again (same ids) otherwise.
    Messages(Vec<InboundMessage>),
    /// The account joined or left a group, or a group's name or rules changed: ask for the groups again.
    GroupsChanged,
    /// The end of this link: always the last event, exactly once.
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
    /// A reaction to another message; the text is the emoji, empty when withdrawn.
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

/// A message received. `Debug` prints id and kind alone.
#[derive(Clone, PartialEq, Eq)]
pub struct InboundMessage {
    /// The chat: a phone's address, or a group's.
    pub chat: String,
    /// Who wrote it, by phone number where WhatsApp told it.
    pub sender: String,
    /// The writer's number, digits, where WhatsApp told it.
    pub sender_number: Option<String>,
    /// The writer's hidden id, `…@lid`, where WhatsApp told it.
    pub sender_lid: Option<String>,
    /// WhatsApp's id: unique within chat and sender.
    pub whatsapp_id: String,
    /// What it carries.
    pub kind: MessageKind,
    /// The text, caption or emoji, where there is one.
    pub text: Option<String>,
    /// When it was sent, by the server's clock.
    pub at: DateTime<Utc>,
    /// Whether the account's own phone or another of its devices wrote it.
    pub from_me: bool,
    /// The writer's own name for themselves; empty when not told.
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
    /// WhatsApp asks for a fresh connection (515): normal after pairing. Open again at once.
    RestartRequired,
    /// Another connection with the same credentials took over. Check lease and epoch before anything else.
    Replaced,
    /// The device was unlinked, by the phone or by WhatsApp: the credentials are worthless.
    LoggedOut {
        /// Why, for a person.
        reason: String,
    },
    /// WhatsApp banned the account for a while.
    Banned {
        /// WhatsApp's code (101 too many strangers, 102 blocked by users, 104 same message too often, …).
        code: i32,
        /// How long it lasts from now.
        expires_in: Duration,
    },
    /// The client's version is too old for WhatsApp: a newer one must be configured or fetched.
    Outdated,
    /// WhatsApp refused the login for another reason.
    Refused {
        /// WhatsApp's code; 5xx pass by themselves, others do not.
        code: u16,
    },
    /// The connection could not be made or was lost: network, server restart, silence.
    Dropped(String),
    /// WhatsApp's QR codes ran out before a phone scanned one.
    PairingExpired,
    /// Our side asked for it: `close`, `logout`, `abort`, or the last handle was dropped.
    Requested,
    /// A write found the account claimed by another owner.
    Fenced,
    /// A record of the account is sealed under this key, which this worker was not given. Nothing was changed.
    UnknownKey(String),
}

impl CloseReason {
    /// The reason's name, for logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.word().as_str()
    }

    /// The reason in one word, for metrics.
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
