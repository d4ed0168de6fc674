//! Pure. What WhatsApp's answer to a message means for that message and those behind it.
//!
//! This stands beside the machine: the answer means the same in every state of a session, and leads to no other one.

use std::time::Duration;

use process::telemetry::metrics::labels::FailReason;

/// How long an account pauses after the server said that it could not take a message.
const PAUSE: Duration = Duration::from_secs(1);

/// What becomes of a message that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// WhatsApp's server has it.
    Left,
    /// The reach-out time-lock: the row waits, and with it all behind it, for as long as the worker was told to hold an account.
    Held,
    /// A passing fault of the server: the row waits this long, and with it all behind it.
    Paused(Duration),
    /// It never goes out.
    Refused {
        /// In one word.
        why: FailReason,
        /// In words for a person.
        words: String,
    },
}

/// What this answer means: none is an acknowledgement, else it is WhatsApp's code.
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
