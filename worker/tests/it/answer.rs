//! The meaning of WhatsApp's answers to a message.

use std::time::Duration;

use process::telemetry::metrics::labels::FailReason;
use worker::session::answer::{Verdict, verdict};

/// R36: each answer has its consequence. An unknown answer is a refusal that names its code.
#[test]
fn every_answer_has_its_consequence() {
    let refused = |why, words: &str| Verdict::Refused { why, words: words.to_owned() };
    let keys = |code| format!("WhatsApp refused it: the recipient's keys were out of date (code {code})");
    let table = [
        (None, Verdict::Left),
        (Some(463), Verdict::Held),
        (Some(500), Verdict::Paused(Duration::from_secs(1))),
        (Some(503), Verdict::Paused(Duration::from_secs(1))),
        (Some(599), Verdict::Paused(Duration::from_secs(1))),
        (Some(403), refused(FailReason::Forbidden, "WhatsApp refused it: this account may not write there (code 403)")),
        (Some(404), refused(FailReason::NoSuchGroup, "Group not found (code 404)")),
        (Some(420), refused(FailReason::StaleKeys, &keys(420))),
        (Some(479), refused(FailReason::StaleKeys, &keys(479))),
        (Some(0), refused(FailReason::Refused, "WhatsApp refused it without saying why")),
        (Some(462), refused(FailReason::Refused, "WhatsApp refused it (code 462)")),
        (Some(600), refused(FailReason::Refused, "WhatsApp refused it (code 600)")),
    ];
    for (error, consequence) in table {
        assert_eq!(verdict(error), consequence, "{error:?}");
    }
}
