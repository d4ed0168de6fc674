//! Pure. The title of a conflict, the same for all problems of its type.

use domain::conflict::Conflict;

/// The title, in words for a person.
pub(super) const fn title(conflict: &Conflict) -> &'static str {
    match conflict {
        Conflict::NotConnected { .. } => "The account has no phone",
        Conflict::AlreadyConnected => "The account is connected",
        Conflict::NoPasskeyDemanded => "No passkey is asked for",
        Conflict::NoCodeToCompare => "There is no code to compare",
        Conflict::IdempotencyKeyInUse => "Another request with this key is under way",
        Conflict::AnswerOfAnotherKey => "The answer belongs to another API key",
        Conflict::TooManyWebhooks { .. } => "The tenant has the maximum number of webhooks",
        Conflict::WebhookDisabled => "The webhook is disabled",
        Conflict::AlreadyDelivered => "The delivery was made already",
        Conflict::TenantHasLinkedAccounts => "The tenant has linked accounts",
        Conflict::RunNotPaused(_) => "The run is not paused",
        Conflict::RunOver(_) => "The run is over",
        Conflict::RunWithoutReminder => "The run's reminder was deleted",
        Conflict::RunWithoutAccount => "The run's account was deleted",
        Conflict::WindowClosed { .. } => "The delivery window is closed",
        Conflict::ReminderNotPausable(_) => "The reminder can't be paused",
        Conflict::ReminderNotResumable(_) => "The reminder can't go on",
        Conflict::ReminderFiredMeanwhile => "The reminder fired during the edit",
        Conflict::ReminderJustSent => "The same was sent a moment ago",
        Conflict::ScheduleNotComputable { .. } => "The next occurrence can't be computed",
    }
}
