//! Pure. Why the present state of a thing does not allow what was asked: one name for programs, one sentence for people.

use crate::reminder::life;
use crate::run;

/// A refusal that another state of the thing would not get. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::EnumCount)]
pub enum Conflict {
    /// The account has no phone that could do this.
    #[error("Account not connected: {}", if *.first_pairing { "it is being paired for the first time" } else { "pair it again" })]
    NotConnected {
        /// A pairing is under way, and no phone was ever linked before.
        first_pairing: bool,
    },
    /// The account has its phone already.
    #[error("The account is connected: unpair it first")]
    AlreadyConnected,
    /// No passkey can be presented.
    #[error("No passkey is asked for, or one was presented already")]
    NoPasskeyDemanded,
    /// No code of a passkey can be confirmed.
    #[error("There is no code to compare")]
    NoCodeToCompare,
    /// Another request holds the idempotency key.
    #[error("Another request with this Idempotency-Key is under way")]
    IdempotencyKeyInUse,
    /// The answer that was kept holds a secret of another API key.
    #[error("This was done for another API key, which alone may see the answer")]
    AnswerOfAnotherKey,
    /// The tenant has as many webhooks as it may have.
    #[error("A tenant has at most {at_most} webhooks")]
    TooManyWebhooks {
        /// So many.
        at_most: i64,
    },
    /// The webhook posts nothing.
    #[error("The webhook is disabled: enable it first")]
    WebhookDisabled,
    /// The receiver has the delivery.
    #[error("It was delivered already")]
    AlreadyDelivered,
    /// The tenant can't be deleted.
    #[error("The tenant still has linked accounts: unpair or delete them first")]
    TenantHasLinkedAccounts,
    /// The run does not rest.
    #[error("The run is {0}: only a paused run can be resumed")]
    RunNotPaused(run::Status),
    /// The run has ended.
    #[error("The run is {0}: it is over, there is nothing to cancel")]
    RunOver(run::Status),
    /// The run is all that is left of its reminder.
    #[error("Its reminder was deleted: the run can only be canceled")]
    RunWithoutReminder,
    /// The run is all that is left of its account.
    #[error("Its account was deleted: the run can only be canceled")]
    RunWithoutAccount,
    /// Nothing is sent at this time of day.
    #[error("The delivery window is closed until {opens} in {zone}")]
    WindowClosed {
        /// When it opens, on the reminder's clocks.
        opens: String,
        /// Which clocks these are.
        zone: String,
    },
    /// The reminder has ended or failed.
    #[error("The reminder is {}: there is nothing to pause", .0.as_str())]
    ReminderNotPausable(life::Status),
    /// The reminder has nothing left to go on with.
    #[error("The reminder is {}: replace it to start it anew", .0.as_str())]
    ReminderNotResumable(life::Status),
    /// The last occurrence fired while the edit was being written.
    #[error("It fired while it was being edited, and has no occurrence left")]
    ReminderFiredMeanwhile,
    /// The texts went out a moment ago, by a reminder that is gone.
    #[error("A reminder that was deleted since has sent this a moment ago: give a later `start`")]
    ReminderJustSent,
    /// The reminder's next occurrence is not found.
    #[error("The next occurrence can't be computed: {why}")]
    ScheduleNotComputable {
        /// What stands in the way.
        why: String,
    },
}

impl Conflict {
    /// Its name, which programs may rely on.
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

    /// One of each.
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
