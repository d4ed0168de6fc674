//! Pure. The data of the events. Each field is always present; null means that there is nothing to say.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::id::{AccountId, MessageId, ReminderId, RunId, WebhookId};
use crate::run::Tally;
use crate::{account, message, reminder, run};

/// An account was deleted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountDeleted {
    /// The account.
    pub account_id: AccountId,
    /// Its label.
    pub label: String,
}

/// The messages of an account wait.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountHeld {
    /// The account.
    pub account_id: AccountId,
    /// Until when they wait.
    pub held_until: DateTime<Utc>,
}

/// The data of an event that only names the account.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountOnly {
    /// The account.
    pub account_id: AccountId,
}

/// An account's status changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountStatusChanged {
    /// The account.
    pub account_id: AccountId,
    /// The status now.
    pub status: account::Status,
    /// The status before.
    pub previous: account::Status,
    /// The reason, for a person.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reason: Option<String>,
}

/// An account's groups were read.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupsSynced {
    /// The account.
    pub account_id: AccountId,
    /// The number of groups that it is in.
    pub groups: usize,
}

/// A message's state changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageChanged {
    /// The account that sends it.
    pub account_id: AccountId,
    /// The message.
    pub message_id: MessageId,
    /// Its state.
    pub state: message::State,
    /// Why it is not sent, for a person; null if it was sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reason: Option<String>,
}

/// A message that somebody wrote to the account, or that the account wrote from another device.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageReceived {
    /// The account that received it.
    pub account_id: AccountId,
    /// The chat's JID.
    pub chat: String,
    /// The writer's JID.
    pub sender: String,
    /// The name that the writer has chosen, if WhatsApp tells it.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub sender_name: Option<String>,
    /// The writer's number, digits only, if WhatsApp tells it.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub sender_number: Option<String>,
    /// The writer's hidden id, `…@lid`, if WhatsApp tells it.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub sender_lid: Option<String>,
    /// WhatsApp's id of the message.
    pub whatsapp_id: String,
    /// Its text, if it has one.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub text: Option<String>,
    /// Its type: `text`, `image` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was sent.
    pub at: DateTime<Utc>,
    /// True if the account itself sent it, from another device.
    pub from_me: bool,
}

/// A reminder can't go on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReminderFailed {
    /// The reminder.
    pub reminder_id: ReminderId,
    /// The reason.
    pub reason: String,
}

/// A reminder has fired.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReminderFired {
    /// The reminder.
    pub reminder_id: ReminderId,
    /// The occurrence's run.
    pub run_id: RunId,
    /// The time for which it was planned.
    pub fire_at: DateTime<Utc>,
}

/// Occurrences of a reminder were not sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReminderMissed {
    /// The reminder.
    pub reminder_id: ReminderId,
    /// The run of the first occurrence that was missed.
    pub run_id: RunId,
    /// The time for which that occurrence was planned.
    pub fire_at: DateTime<Utc>,
    /// The number of missed occurrences, as far as they were counted.
    pub count: usize,
    /// True if there were more than were counted.
    pub more: bool,
    /// The reason.
    pub reason: String,
}

/// A reminder was paused.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReminderPaused {
    /// The reminder.
    pub reminder_id: ReminderId,
    /// The run whose delivery window closed; null if the tenant paused the reminder.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub run_id: Option<RunId>,
    /// The reason.
    pub reason: String,
}

/// A reminder fires at another time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReminderRescheduled {
    /// The reminder.
    pub reminder_id: ReminderId,
    /// The time for which it was planned.
    pub previous: DateTime<Utc>,
    /// The time at which it fires now.
    pub next_fire_at: DateTime<Utc>,
    /// The version of the zone data.
    pub zone_data: String,
}

/// A reminder goes on after a pause.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReminderResumed {
    /// The reminder.
    pub reminder_id: ReminderId,
    /// Its status now.
    pub status: reminder::life::Status,
    /// When it fires next; null if no occurrence is left.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_fire_at: Option<DateTime<Utc>>,
}

/// A run's status changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunChanged {
    /// The run.
    pub run_id: RunId,
    /// The reminder; null if it was deleted.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reminder_id: Option<ReminderId>,
    /// Its status now.
    pub status: run::Status,
    /// The result, for a person.
    pub summary: String,
    /// The number of targets that were sent all texts.
    pub sent: usize,
    /// The number of all targets.
    pub total: usize,
}

/// The progress of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunProgress {
    /// The run.
    pub run_id: RunId,
    /// The reminder; null if it was deleted.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reminder_id: Option<ReminderId>,
    /// The number of targets that were sent all texts.
    pub sent: usize,
    /// The number of targets that were sent no texts, or not all.
    pub failed: usize,
    /// The number of targets that were skipped.
    pub skipped: usize,
    /// The number of all targets.
    pub total: usize,
}

/// A phone is linked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionConnected {
    /// The account.
    pub account_id: AccountId,
    /// The account's status now.
    pub status: account::Status,
    /// The account's status before.
    pub previous: account::Status,
    /// The phone's number, digits only.
    pub phone_number: String,
}

/// The phone is already linked to another account.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionDuplicate {
    /// The account.
    pub account_id: AccountId,
    /// The account's status now.
    pub status: account::Status,
    /// The account's status before.
    pub previous: account::Status,
    /// The label of the account that the phone is linked to.
    pub duplicate_of: String,
    /// The id of that account.
    pub duplicate_of_id: AccountId,
}

/// WhatsApp asks for a passkey.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionPasskeyRequired {
    /// The account.
    pub account_id: AccountId,
    /// What the phone's owner has to do.
    pub advice: String,
}

/// A QR code is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionQr {
    /// The account.
    pub account_id: AccountId,
    /// The number of codes that this pairing has shown.
    pub number: i32,
    /// When the code expires.
    pub expires_at: DateTime<Utc>,
}

/// An account's connection is stable again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionRecovered {
    /// The account.
    pub account_id: AccountId,
    /// How many times in a row its connection was restarted before.
    pub restarts: u32,
}

/// A pairing ended without a link.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionTimeout {
    /// The account.
    pub account_id: AccountId,
    /// The account's status now.
    pub status: account::Status,
    /// The account's status before.
    pub previous: account::Status,
    /// The reason, for a person.
    pub reason: String,
}

/// An account's connection is not stable.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionUnstable {
    /// The account.
    pub account_id: AccountId,
    /// How many times in a row its connection was restarted.
    pub restarts: u32,
    /// Why it was restarted the last time, for a person.
    pub reason: String,
}

/// A webhook was disabled.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookDisabled {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// `gone` (the receiver answered 410) or `failing` (no success for days).
    pub reason: String,
}

/// A webhook will not get events.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookEventsDropped {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The number of those events.
    pub count: i64,
    /// When the newest of them happened.
    pub until: DateTime<Utc>,
}

impl RunChanged {
    /// The data for a run with this status and these numbers of targets.
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
