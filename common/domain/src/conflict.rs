//! Pure. Why a request conflicts with the current state: a stable name for programs, and a sentence for people.

use crate::reminder::life;
use crate::run;

/// A request that would be accepted in another state. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::EnumCount)]
pub enum Conflict {
    /// The account has no linked phone that could do this.
    #[error("Account not connected: {}", if *.first_pairing { "it is being paired for the first time" } else { "pair it again" })]
    NotConnected {
        /// A pairing is under way, and no phone was ever linked before.
        first_pairing: bool,
    },
    /// A phone is linked to the account already.
    #[error("The account is connected: unpair it first")]
    AlreadyConnected,
    /// No passkey is expected.
    #[error("No passkey is asked for, or one was presented already")]
    NoPasskeyDemanded,
    /// There is no passkey code to confirm.
    #[error("There is no code to compare")]
    NoCodeToCompare,
    /// Another request with the same idempotency key is under way.
    #[error("Another request with this Idempotency-Key is under way")]
    IdempotencyKeyInUse,
    /// The stored answer contains a secret that only another API key may see.
    #[error("This was done for another API key, which alone may see the answer")]
    AnswerOfAnotherKey,
    /// The tenant has the highest allowed number of webhooks.
    #[error("A tenant has at most {at_most} webhooks")]
    TooManyWebhooks {
        /// The highest allowed number.
        at_most: i64,
    },
    /// The webhook is disabled.
    #[error("The webhook is disabled: enable it first")]
    WebhookDisabled,
    /// The receiver has already accepted the delivery.
    #[error("It was delivered already")]
    AlreadyDelivered,
    /// The tenant has linked accounts and can't be deleted.
    #[error("The tenant still has linked accounts: unpair or delete them first")]
    TenantHasLinkedAccounts,
    /// The run is not paused.
    #[error("The run is {0}: only a paused run can be resumed")]
    RunNotPaused(run::Status),
    /// The run has finished.
    #[error("The run is {0}: it is over, there is nothing to cancel")]
    RunOver(run::Status),
    /// The run's reminder was deleted.
    #[error("Its reminder was deleted: the run can only be canceled")]
    RunWithoutReminder,
    /// The run's account was deleted.
    #[error("Its account was deleted: the run can only be canceled")]
    RunWithoutAccount,
    /// The delivery window is closed now.
    #[error("The delivery window is closed until {opens} in {zone}")]
    WindowClosed {
        /// When it opens, in wall-clock time of `zone`.
        opens: String,
        /// The reminder's zone.
        zone: String,
    },
    /// The reminder can't be paused in this state.
    #[error("The reminder is {}: there is nothing to pause", .0.as_str())]
    ReminderNotPausable(life::Status),
    /// The reminder can't be resumed: no occurrence lies ahead.
    #[error("The reminder is {}: replace it to start it anew", .0.as_str())]
    ReminderNotResumable(life::Status),
    /// The last occurrence fired while the edit was being written.
    #[error("It fired while it was being edited, and has no occurrence left")]
    ReminderFiredMeanwhile,
    /// A deleted reminder sent the same texts a moment ago.
    #[error("A reminder that was deleted meanwhile sent this a moment ago: give a later `start`")]
    ReminderJustSent,
    /// The reminder's next occurrence can't be computed.
    #[error("The next occurrence can't be computed: {why}")]
    ScheduleNotComputable {
        /// The reason.
        why: String,
    },
}

impl Conflict {
    /// Its stable name, on which programs may rely.
    #[must_use]
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::NotConnected { .. } => "account-not-connected",
            Self::AlreadyConnected => "account-already-connected",
            Self::NoPasskeyDemanded => "no-passkey-demanded",
            Self::NoCodeToCompare => "no-code-to-compare",
            Self::IdempotencyKeyInUse => "idempotency-key-in-use",
            Self::AnswerOfAnotherKey => "answer-of-another-key",
            Self::TooManyWebhooks { .. } => "too-many-webhooks",
            Self::WebhookDisabled => "webhook-disabled",
            Self::AlreadyDelivered => "already-delivered",
            Self::TenantHasLinkedAccounts => "tenant-has-linked-accounts",
            Self::RunNotPaused(_) => "run-not-paused",
            Self::RunOver(_) => "run-over",
            Self::RunWithoutReminder => "run-without-reminder",
            Self::RunWithoutAccount => "run-without-account",
            Self::WindowClosed { .. } => "delivery-window-closed",
            Self::ReminderNotPausable(_) => "reminder-not-pausable",
            Self::ReminderNotResumable(_) => "reminder-not-resumable",
            Self::ReminderFiredMeanwhile => "reminder-fired-meanwhile",
            Self::ReminderJustSent => "reminder-just-sent",
            Self::ScheduleNotComputable { .. } => "schedule-not-computable",
        }
    }

    /// One example of each variant.
    #[must_use]
    pub fn examples() -> [Self; <Self as strum::EnumCount>::COUNT] {
        [
            Self::NotConnected { first_pairing: false },
            Self::AlreadyConnected,
            Self::NoPasskeyDemanded,
            Self::NoCodeToCompare,
            Self::IdempotencyKeyInUse,
            Self::AnswerOfAnotherKey,
            Self::TooManyWebhooks { at_most: 20 },
            Self::WebhookDisabled,
            Self::AlreadyDelivered,
            Self::TenantHasLinkedAccounts,
            Self::RunNotPaused(run::Status::Success),
            Self::RunOver(run::Status::Partial),
            Self::RunWithoutReminder,
            Self::RunWithoutAccount,
            Self::WindowClosed { opens: "08:00".to_owned(), zone: "Europe/Berlin".to_owned() },
            Self::ReminderNotPausable(life::Status::Ended),
            Self::ReminderNotResumable(life::Status::Ended),
            Self::ReminderFiredMeanwhile,
            Self::ReminderJustSent,
            Self::ScheduleNotComputable { why: "recurrence: it has too many occurrences".to_owned() },
        ]
    }
}
