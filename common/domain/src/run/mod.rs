//! Pure. The status of a run, and how it follows from its targets.

use std::fmt;

use serde::{Deserialize, Serialize};

pub mod machine;
pub mod notice;

/// The state of one target of a run. Only `Pending` is unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum TargetState {
    /// Not sent yet.
    Pending,
    /// Every text of the reminder was taken by WhatsApp's server.
    Sent,
    /// At least one text could not be sent.
    Failed,
    /// Not tried. `reason` says why.
    Skipped,
}

impl TargetState {
    /// The value in the database and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// The status of a run. `Pending`, `Running` and `Paused` are unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", schema(as = RunStatus))]
pub enum Status {
    /// It has fired, and waits for a worker or for the previous run.
    Pending,
    /// Its messages are queued.
    Running,
    /// Every target was sent.
    Success,
    /// Some targets were sent, some were not.
    Partial,
    /// No target was sent.
    Failed,
    /// The delivery window closed before the run was done.
    Paused,
    /// Nothing of it had left when it was canceled, its reminder was edited or deleted, or its account was unpaired or
    /// linked to another phone.
    Canceled,
    /// It never began: it was too late, or the previous run was in progress.
    Missed,
}

impl Status {
    /// All statuses.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Running,
        Self::Success,
        Self::Partial,
        Self::Failed,
        Self::Paused,
        Self::Canceled,
        Self::Missed,
    ];

    /// The value in the database and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Paused => "paused",
            Self::Canceled => "canceled",
            Self::Missed => "missed",
        }
    }

    /// Whether the run has ended for good.
    #[must_use]
    pub fn finished(self) -> bool {
        match self {
            Self::Pending | Self::Running | Self::Paused => false,
            Self::Success | Self::Partial | Self::Failed | Self::Canceled | Self::Missed => true,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The number of targets in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Not sent yet.
    pub pending: usize,
    /// All texts were sent.
    pub sent: usize,
    /// Not sent, or not whole.
    pub failed: usize,
    /// Not tried.
    pub skipped: usize,
}

impl Tally {
    /// Counts targets.
    #[must_use]
    pub fn of(targets: impl IntoIterator<Item = TargetState>) -> Self {
        let mut tally = Self::default();
        for target in targets {
            match target {
                TargetState::Pending => tally.pending += 1,
                TargetState::Sent => tally.sent += 1,
                TargetState::Failed => tally.failed += 1,
                TargetState::Skipped => tally.skipped += 1,
            }
        }
        tally
    }

    /// The number of all targets.
    #[must_use]
    pub fn total(self) -> usize {
        self.pending + self.sent + self.failed + self.skipped
    }

    /// The status of a run that follows from its targets: `running` while one is pending, then `success`, `partial` or
    /// `failed`.
    #[must_use]
    pub fn status(self) -> Status {
        if self.pending > 0 {
            Status::Running
        } else if self.sent == 0 {
            Status::Failed
        } else if self.sent == self.total() {
            Status::Success
        } else {
            Status::Partial
        }
    }

    /// The status of a run whose delivery window closed: `paused` if anything was delivered, even one text of a pending
    /// target; otherwise `failed`. Without pending targets, the targets decide as usual.
    #[must_use]
    pub fn status_when_window_closes(self, delivered: bool) -> Status {
        if self.pending == 0 {
            self.status()
        } else if delivered || self.sent > 0 {
            Status::Paused
        } else {
            Status::Failed
        }
    }

    /// In words: `2 of 3 sent, 1 failed`.
    #[must_use]
    pub fn summary(self) -> String {
        let mut words = format!("{} of {} sent", self.sent, self.total());
        for (count, word) in [(self.failed, "failed"), (self.skipped, "skipped"), (self.pending, "pending")] {
            if count > 0 {
                words.push_str(&format!(", {count} {word}"));
            }
        }
        words
    }
}

/// The state of a target by its messages: how many are queued, how many WhatsApp's server took, how many failed.
#[must_use]
pub fn target_state(queued: i64, sent: i64, failed: i64) -> TargetState {
    if queued > 0 {
        TargetState::Pending
    } else if failed > 0 {
        TargetState::Failed
    } else if sent > 0 {
        TargetState::Sent
    } else {
        TargetState::Skipped
    }
}
