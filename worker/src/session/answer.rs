//! Pure. Interprets WhatsApp's answer to a message.
//!
//! This is not part of the machine, because the answer means the same in every state of a session and changes none.

use std::time::Duration;

use process::telemetry::metrics::labels::FailReason;

/// How long an account pauses after the server could not take a message.
const PAUSE: Duration = Duration::from_secs(1);

/// The result for a message that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// WhatsApp's server accepted it.
    Left,
    /// The reach-out time-lock: this message and all behind it wait for the configured hold time.
    Held,
    /// A temporary fault of the server: this message and all behind it wait this long.
    Paused(Duration),
    /// The message failed for good.
    Refused {
        /// The reason as a metric label.
        why: FailReason,
        /// The reason for a person.
        words: String,
    },
}

/// Interprets an answer. `None` is an acknowledgement; otherwise `error` is WhatsApp's error code.
#[must_use]
pub fn verdict(error: Option<u16>) -> Verdict {
    let Some(code) = error else { return Verdict::Left };
    let (why, words) = match code {
        463 => return Verdict::Held,
        500..=599 => return Verdict::Paused(PAUSE),
        403 => (FailReason::Forbidden, "WhatsApp refused it: this account may not write there (code 403)".to_owned()),
        404 => (FailReason::NoSuchGroup, "Group not found (code 404)".to_owned()),
        420 | 479 => {
            let words = format!("WhatsApp refused it: the recipient's keys were out of date (code {code})");
            (FailReason::StaleKeys, words)
        }
        0 => (FailReason::Refused, "WhatsApp refused it without saying why".to_owned()),
        code => (FailReason::Refused, format!("WhatsApp refused it (code {code})")),
    };
    Verdict::Refused { why, words }
}
