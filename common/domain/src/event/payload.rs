//! Pure. What the events carry. Each field is always there: null says that there is nothing to say.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::id::{AccountId, MessageId, ReminderId, RunId, WebhookId};
use crate::run::Tally;
use crate::{account, message, reminder, run};

/// An account was deleted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountDeleted {
    /// Which.
    pub account_id: AccountId,
    /// What it was called.
    pub label: String,
}

/// An account's messages wait.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountHeld {
    /// Which account.
    pub account_id: AccountId,
    /// Until when.
    pub held_until: DateTime<Utc>,
}

/// Something that is fetched from the account.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountOnly {
    /// Which account.
    pub account_id: AccountId,
}

/// An account's status changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountStatusChanged {
    /// Which account.
    pub account_id: AccountId,
    /// What it is now.
    pub status: account::Status,
    /// What it was before.
    pub previous: account::Status,
    /// Why, for a person.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reason: Option<String>,
}

/// An account's groups were read.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupsSynced {
    /// Which account.
    pub account_id: AccountId,
    /// How many groups it is in.
    pub groups: usize,
}

/// A message's state changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageChanged {
    /// Which account sends it.
    pub account_id: AccountId,
    /// Which message.
    pub message_id: MessageId,
    /// Its state.
    pub state: message::State,
    /// Why it is not sent, for a person; null where it was sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reason: Option<String>,
}

/// A message that somebody wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageReceived {
    /// Which account received it.
    pub account_id: AccountId,
    /// The chat's JID.
    pub chat: String,
    /// The writer's JID.
    pub sender: String,
    /// The writer's own name for themselves, where WhatsApp tells it.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub sender_name: Option<String>,
    /// The writer's number, digits, where WhatsApp tells it.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub sender_number: Option<String>,
    /// The writer's hidden id, `…@lid`, where WhatsApp tells it.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub sender_lid: Option<String>,
    /// WhatsApp's id of the message.
    pub whatsapp_id: String,
    /// Its text, where it has one.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub text: Option<String>,
    /// What it is: `text`, `image` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was sent.
    pub at: DateTime<Utc>,
    /// The account itself sent it, from another device.
    pub from_me: bool,
}

/// A reminder can't go on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReminderFailed {
    /// Which.
    pub reminder_id: ReminderId,
    /// Why.
    pub reason: String,
}

/// A reminder has fired.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReminderFired {
    /// Which.
    pub reminder_id: ReminderId,
    /// The occurrence's run.
    pub run_id: RunId,
    /// When it was planned for.
    pub fire_at: DateTime<Utc>,
}

/// Occurrences of a reminder were not sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReminderMissed {
    /// Which.
    pub reminder_id: ReminderId,
    /// The run of the first occurrence that was missed.
    pub run_id: RunId,
    /// When that was planned for.
    pub fire_at: DateTime<Utc>,
    /// How many were missed, as far as they were counted.
    pub count: usize,
    /// There were more than were counted.
    pub more: bool,
    /// Why.
    pub reason: String,
}

/// A reminder rests.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReminderPaused {
    /// Which.
    pub reminder_id: ReminderId,
    /// The run on which the delivery window closed; null where the tenant paused it.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub run_id: Option<RunId>,
    /// Why.
    pub reason: String,
}

/// A reminder fires at another time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReminderRescheduled {
    /// Which.
    pub reminder_id: ReminderId,
    /// When it was planned for.
    pub previous: DateTime<Utc>,
    /// When it fires now.
    pub next_fire_at: DateTime<Utc>,
    /// The version of the data about time zones.
    pub zone_data: String,
}

/// A reminder goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReminderResumed {
    /// Which.
    pub reminder_id: ReminderId,
    /// Its status now.
    pub status: reminder::life::Status,
    /// When it fires next; null where nothing is left.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_fire_at: Option<DateTime<Utc>>,
}

/// A run's status changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunChanged {
    /// Which.
    pub run_id: RunId,
    /// Whose occurrence it is; null where the reminder is gone.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reminder_id: Option<ReminderId>,
    /// Its status now.
    pub status: run::Status,
    /// How it went, for a person.
    pub summary: String,
    /// Targets that were sent everything.
    pub sent: usize,
    /// Targets in all.
    pub total: usize,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunProgress {
    /// Which.
    pub run_id: RunId,
    /// Whose occurrence it is; null where the reminder is gone.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reminder_id: Option<ReminderId>,
    /// Targets that were sent everything.
    pub sent: usize,
    /// Targets that were not, or not everything.
    pub failed: usize,
    /// Targets that were left out.
    pub skipped: usize,
    /// Targets in all.
    pub total: usize,
}

/// A phone is linked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionConnected {
    /// Which account.
    pub account_id: AccountId,
    /// The account's status now.
    pub status: account::Status,
    /// The account's status before.
    pub previous: account::Status,
    /// The phone's number, digits.
    pub phone_number: String,
}

/// A phone is linked to another account already.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionDuplicate {
    /// Which account.
    pub account_id: AccountId,
    /// The account's status now.
    pub status: account::Status,
    /// The account's status before.
    pub previous: account::Status,
    /// The label of the account that the phone is linked to.
    pub duplicate_of: String,
    /// That account.
    pub duplicate_of_id: AccountId,
}

/// WhatsApp asks for a passkey.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionPasskeyRequired {
    /// Which account.
    pub account_id: AccountId,
    /// What the phone's owner has to do.
    pub advice: String,
}

/// A QR code is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionQr {
    /// Which account.
    pub account_id: AccountId,
    /// How many codes this pairing has shown.
    pub number: i32,
    /// How long the code lives.
    pub expires_at: DateTime<Utc>,
}

/// An account is steady again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionRecovered {
    /// Which account.
    pub account_id: AccountId,
    /// How often its connection was restarted before, in a row.
    pub restarts: u32,
}

/// A pairing ended without a link.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionTimeout {
    /// Which account.
    pub account_id: AccountId,
    /// The account's status now.
    pub status: account::Status,
    /// The account's status before.
    pub previous: account::Status,
    /// Why, for a person.
    pub reason: String,
}

/// An account is not steady.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionUnstable {
    /// Which account.
    pub account_id: AccountId,
    /// How often its connection was restarted, in a row.
    pub restarts: u32,
    /// Why it was restarted the last time, for a person.
    pub reason: String,
}

/// A webhook was disabled.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookDisabled {
    /// Which.
    pub webhook_id: WebhookId,
    /// `gone` (the receiver answered 410) or `failing` (for days).
    pub reason: String,
}

/// A webhook will not get events.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookEventsDropped {
    /// Which.
    pub webhook_id: WebhookId,
    /// How many.
    pub count: i64,
    /// When the newest of them happened.
    pub until: DateTime<Utc>,
}

impl RunChanged {
    /// A run that stands so, with so many of its targets sent.
    #[must_use]
    pub fn of(
        run_id: RunId,
        reminder_id: Option<ReminderId>,
        status: run::Status,
        summary: String,
        tally: Tally,
    ) -> Self {
        Self { run_id, reminder_id, status, summary, sent: tally.sent, total: tally.total() }
    }
}
