//! Pure. The registry of events: every kind on one page, with its description and its data. The events that are
//! written, the kinds that webhooks may name, the OpenAPI document and `docs/events.md` all come from here.

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

        /// The kind of an event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Kind {
            /// All kinds, in alphabetical order.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name in rows, webhooks and streams.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $kind,)+ }
            }

            /// Its description, for people.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim(),)+ }
            }

        }

        #[cfg(feature = "openapi")]
        impl Kind {
            /// The name of the schema of its data.
            fn payload_name(self) -> String {
                match self { $(Self::$name => <$payload as utoipa::ToSchema>::name().into_owned(),)+ }
            }

            /// The schema of its data, and those that it refers to.
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
    /// WhatsApp lets the account write to nobody new for a while. Its messages wait, and none fails.
    AccountHeld(AccountHeld) = "account.held";
    /// An account's status changed.
    AccountStatusChanged(AccountStatusChanged) = "account.status_changed";
    /// The list of the account's groups was read from WhatsApp.
    GroupsSynced(GroupsSynced) = "groups.synced";
    /// A message was called back before it was sent.
    MessageCanceled(MessageChanged) = "message.canceled";
    /// A message reached a device of its recipient; in a group, of the first member.
    MessageDelivered(MessageChanged) = "message.delivered";
    /// A message expired before it was sent.
    MessageExpired(MessageChanged) = "message.expired";
    /// A message will not be sent.
    MessageFailed(MessageChanged) = "message.failed";
    /// A recipient has read a message; in a group, the first member.
    MessageRead(MessageChanged) = "message.read";
    /// Somebody wrote to the account, or the account itself wrote from another device. Each message is reported once.
    MessageReceived(MessageReceived) = "message.received";
    /// WhatsApp's server has acknowledged a message.
    MessageSent(MessageChanged) = "message.sent";
    /// A reminder can't go on, because its next occurrence can't be computed.
    ReminderFailed(ReminderFailed) = "reminder.failed";
    /// An occurrence of a reminder came due, and has a run.
    ReminderFired(ReminderFired) = "reminder.fired";
    /// Occurrences of a reminder were not sent.
    ReminderMissed(ReminderMissed) = "reminder.missed";
    /// A reminder is paused until it is resumed: its tenant paused it, or the delivery window of a run closed.
    ReminderPaused(ReminderPaused) = "reminder.paused";
    /// New data about a time zone changed when a reminder fires next.
    ReminderRescheduled(ReminderRescheduled) = "reminder.rescheduled";
    /// A reminder goes on after a pause.
    ReminderResumed(ReminderResumed) = "reminder.resumed";
    /// A run has ended, was paused, goes on, or was corrected.
    RunChanged(RunChanged) = "run.changed";
    /// A run makes progress. Reported at most once per second and run.
    RunProgress(RunProgress) = "run.progress";
    /// A phone has accepted the account's device. Its first connection follows.
    SessionAccepted(AccountOnly) = "session.accepted";
    /// A pairing has ended with a link: the account is connected.
    SessionConnected(SessionConnected) = "session.connected";
    /// A pairing has ended without a link: the phone is already linked to another account of the tenant.
    SessionDuplicate(SessionDuplicate) = "session.duplicate";
    /// There is a new code to pair with. The event does not contain it: `GET /v1/accounts/{account}/pairing` does.
    SessionPairingCode(AccountOnly) = "session.pairing_code";
    /// There is a code to compare with the phone's. The event does not contain it: `GET /v1/accounts/{account}/pairing`
    /// does.
    SessionPasskeyCode(AccountOnly) = "session.passkey_code";
    /// WhatsApp asks for a passkey of the phone's owner before it links the device.
    SessionPasskeyRequired(SessionPasskeyRequired) = "session.passkey_required";
    /// There is a new QR code. The event does not contain it: `GET /v1/accounts/{account}/qr` does.
    SessionQr(SessionQr) = "session.qr";
    /// The account's connection is stable again after restarts in a row.
    SessionRecovered(SessionRecovered) = "session.recovered";
    /// A pairing has ended without a link. The reason says why: out of codes, out of time, or refused by WhatsApp.
    SessionTimeout(SessionTimeout) = "session.timeout";
    /// The account's connection was restarted often. Reported at 5, 10, 20 restarts in a row, and so on.
    SessionUnstable(SessionUnstable) = "session.unstable";
    /// A webhook was disabled, because its receiver was gone or failed for days.
    WebhookDisabled(WebhookDisabled) = "webhook.disabled";
    /// Events became too old before a webhook had read them. The webhook will not get them.
    WebhookEventsDropped(WebhookEventsDropped) = "webhook.events_dropped";
}

impl Kind {
    /// Parses the name of a kind.
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
