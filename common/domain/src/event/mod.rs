//! Pure. The registry of events: every kind on one page, with what it says and its data. What is written, what webhooks may
//! name, the OpenAPI document and `docs/events.md` all come from here.

mod payload;
#[cfg(feature = "openapi")]
pub mod schema;
#[cfg(feature = "openapi")]
pub mod table;

pub use payload::{
    AccountDeleted, AccountHeld, AccountOnly, AccountStatusChanged, GroupsSynced, MessageChanged, MessageReceived,
    ReminderFailed, ReminderFired, ReminderMissed, ReminderPaused, ReminderRescheduled, ReminderResumed, RunChanged,
    RunProgress, SessionConnected, SessionDuplicate, SessionPasskeyRequired, SessionQr, SessionRecovered,
    SessionTimeout, SessionUnstable, WebhookDisabled, WebhookEventsDropped,
};
use serde_json::Value;

macro_rules! registry {
    ($($(#[doc = $doc:literal])+ $name:ident($payload:ident) = $kind:literal;)+) => {
        /// Something that happened at a tenant.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            $($(#[doc = $doc])+ $name($payload),)+
        }

        impl Event {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$name(_) => Kind::$name,)+ }
            }

            /// Its data, as it is stored and shown.
            #[must_use]
            pub fn data(&self) -> Value {
                match self { $(Self::$name(data) => serde_json::to_value(data),)+ }.unwrap_or_default()
            }
        }

        /// What kind of event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Kind {
            /// Each of them, in the order of the alphabet.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word that rows, webhooks and streams have.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $kind,)+ }
            }

            /// What it says, for people.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim(),)+ }
            }

        }

        #[cfg(feature = "openapi")]
        impl Kind {
            /// The name of its data's schema.
            fn payload_name(self) -> String {
                match self { $(Self::$name => <$payload as utoipa::ToSchema>::name().into_owned(),)+ }
            }

            /// Its data's schema, and those that it refers to.
            fn payload_schemas(self, schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
                match self {
                    $(Self::$name => {
                        schemas.push((self.payload_name(), <$payload as utoipa::PartialSchema>::schema()));
                        <$payload as utoipa::ToSchema>::schemas(schemas);
                    })+
                }
            }
        }
    };
}

registry! {
    /// An account was deleted.
    AccountDeleted(AccountDeleted) = "account.deleted";
    /// WhatsApp lets the account write to nobody new for a while: its messages wait, none fails.
    AccountHeld(AccountHeld) = "account.held";
    /// An account's status changed.
    AccountStatusChanged(AccountStatusChanged) = "account.status_changed";
    /// The list of the account's groups was read from WhatsApp.
    GroupsSynced(GroupsSynced) = "groups.synced";
    /// A message was called back before it was sent.
    MessageCanceled(MessageChanged) = "message.canceled";
    /// A message reached a device of its recipient; in a group, of the first member.
    MessageDelivered(MessageChanged) = "message.delivered";
    /// A message was not sent before its time was over.
    MessageExpired(MessageChanged) = "message.expired";
    /// A message will not be sent.
    MessageFailed(MessageChanged) = "message.failed";
    /// A recipient has read a message; in a group, the first member.
    MessageRead(MessageChanged) = "message.read";
    /// Somebody wrote to the account, or the account itself wrote from another device. Each message is told once.
    MessageReceived(MessageReceived) = "message.received";
    /// WhatsApp's server has acknowledged a message.
    MessageSent(MessageChanged) = "message.sent";
    /// A reminder can't go on: when it fires next can't be computed.
    ReminderFailed(ReminderFailed) = "reminder.failed";
    /// An occurrence of a reminder has come, and has a run.
    ReminderFired(ReminderFired) = "reminder.fired";
    /// Occurrences of a reminder were not sent.
    ReminderMissed(ReminderMissed) = "reminder.missed";
    /// A reminder rests until it is resumed: its tenant paused it, or its delivery window closed on a run.
    ReminderPaused(ReminderPaused) = "reminder.paused";
    /// New data about a time zone changed when a reminder fires next.
    ReminderRescheduled(ReminderRescheduled) = "reminder.rescheduled";
    /// A reminder goes on after a pause.
    ReminderResumed(ReminderResumed) = "reminder.resumed";
    /// A run is over, rests, goes on, or was corrected.
    RunChanged(RunChanged) = "run.changed";
    /// A run goes on; told at most once a second and run.
    RunProgress(RunProgress) = "run.progress";
    /// A phone has accepted the account's device; its first connection follows.
    SessionAccepted(AccountOnly) = "session.accepted";
    /// A pairing has ended with a link: the account is connected.
    SessionConnected(SessionConnected) = "session.connected";
    /// A pairing has ended without a link: the phone is linked to another account of the tenant already.
    SessionDuplicate(SessionDuplicate) = "session.duplicate";
    /// There is a new code to pair with. The event carries no code: `GET /v1/accounts/{account}/pairing` does.
    SessionPairingCode(AccountOnly) = "session.pairing_code";
    /// There is a code that the phone shows as well. The event carries no code: `GET /v1/accounts/{account}/pairing` does.
    SessionPasskeyCode(AccountOnly) = "session.passkey_code";
    /// WhatsApp asks for a passkey of the phone's owner before it links the device.
    SessionPasskeyRequired(SessionPasskeyRequired) = "session.passkey_required";
    /// There is a new QR code. The event carries no code: `GET /v1/accounts/{account}/qr` does.
    SessionQr(SessionQr) = "session.qr";
    /// The account is steady after restarts in a row.
    SessionRecovered(SessionRecovered) = "session.recovered";
    /// A pairing has ended without a link: codes or window ran out, or WhatsApp refused it; the reason says which.
    SessionTimeout(SessionTimeout) = "session.timeout";
    /// The account's connection was restarted again and again; told at 5, 10, 20 restarts in a row, and so on.
    SessionUnstable(SessionUnstable) = "session.unstable";
    /// A webhook was disabled, since its receiver was gone or failed for days.
    WebhookDisabled(WebhookDisabled) = "webhook.disabled";
    /// Events became too old before a webhook came to them; it will not get them.
    WebhookEventsDropped(WebhookEventsDropped) = "webhook.events_dropped";
}

impl Kind {
    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_in_order_and_read_back() {
        assert!(Kind::ALL.is_sorted_by_key(|kind| kind.as_str()), "{:?}", Kind::ALL);
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
            assert!(!kind.about().is_empty());
        }
        assert_eq!(Kind::parse("message.recieved"), None);
    }
}
