//! Pure. Webhooks: where they may lead, how they are signed, when an attempt is repeated, and which events they carry (R63).

pub mod address;
pub mod retry;
pub mod signature;

/// Webhooks of one tenant.
pub const MAX_PER_TENANT: i64 = 20;
/// Kinds that one webhook names.
const MAX_KINDS: usize = 50;
/// What of a word that is no kind is said again, in characters.
const SHOWN: usize = 100;
/// How alike two words must be for one to be meant by the other, from 0 to 1 (Jaro and Winkler).
const ALIKE: f64 = 0.75;
/// The kind of what `test` sends. It is no event: no stream and no other webhook sees it.
pub const TEST: &str = "webhook.test";
/// A webhook was disabled by the house; data: `webhook_id`, `reason`.
pub const DISABLED: &str = "webhook.disabled";
/// Events grew too old before a webhook came to them; data: `webhook_id`, `count`, `until`.
pub const EVENTS_DROPPED: &str = "webhook.events_dropped";

/// Every kind of event, in the order of the alphabet.
pub const KINDS: [&str; 31] = [
    "account.deleted",
    "account.held",
    "account.status_changed",
    "groups.synced",
    "message.canceled",
    "message.delivered",
    "message.expired",
    "message.failed",
    "message.read",
    "message.received",
    "message.sent",
    "reminder.failed",
    "reminder.fired",
    "reminder.missed",
    "reminder.paused",
    "reminder.rescheduled",
    "reminder.resumed",
    "run.changed",
    "run.progress",
    "session.accepted",
    "session.connected",
    "session.duplicate",
    "session.passkey_code",
    "session.passkey_required",
    "session.pairing_code",
    "session.qr",
    "session.recovered",
    "session.timeout",
    "session.unstable",
    DISABLED,
    EVENTS_DROPPED,
];

/// Why kinds were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKinds {
    /// More than anybody needs.
    #[error("must be at most {MAX_KINDS} kinds; none: all")]
    TooMany,
    /// Something that no event is called, and the kind that was perhaps meant.
    #[error("`{given}` is no kind of event{}", meant.map(|kind| format!("; did you mean {kind}?")).unwrap_or_default())]
    Unknown {
        /// What was given.
        given: String,
        /// The kind that is most like it.
        meant: Option<&'static str>,
    },
}

/// Checks the kinds that a webhook is to carry; sorted, each once.
///
/// # Errors
/// When there are too many, or one is no kind of event.
pub fn kinds(given: &[String]) -> Result<Vec<String>, BadKinds> {
    if given.len() > MAX_KINDS {
        return Err(BadKinds::TooMany);
    }
    if let Some(unknown) = given.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        let given: String = unknown.chars().take(SHOWN).collect();
        let meant = nearest(&given);
        return Err(BadKinds::Unknown { given, meant });
    }
    let mut kinds = given.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

/// The kind that is most like this word, if one is like it at all.
fn nearest(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let alike = KINDS.iter().map(|kind| (strsim::jaro_winkler(kind, &word), *kind));
    alike.filter(|(alike, _)| *alike >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, kind)| kind)
}

/// Whether a webhook that names `kinds` carries an event of this one.
#[must_use]
pub fn carries(kinds: &[String], kind: &str) -> bool {
    kinds.is_empty() || kinds.iter().any(|wanted| wanted == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn kinds_are_sorted_and_checked() {
        let given = list(&["session.qr", "account.status_changed", "session.qr"]);
        assert_eq!(kinds(&given), Ok(list(&["account.status_changed", "session.qr"])));
        assert_eq!(kinds(&[]), Ok(Vec::new()));
        for (word, meant) in [
            ("message.recieved", Some("message.received")),
            ("message.delivery", Some("message.delivered")),
            ("Account.Status_Changed", Some("account.status_changed")),
            ("session.qr_code", Some("session.qr")),
            ("webhook.test", Some("webhook.disabled")),
            ("account.*", Some("account.held")),
            ("", None),
            ("xyz", None),
        ] {
            assert_eq!(kinds(&list(&[word])), Err(BadKinds::Unknown { given: word.to_owned(), meant }), "{word}");
        }
        assert_eq!(kinds(&vec!["a.b".to_owned(); MAX_KINDS + 1]), Err(BadKinds::TooMany));
    }

    #[test]
    fn no_kinds_are_all_kinds() {
        assert!(carries(&[], "run.changed"));
        assert!(carries(&list(&["run.changed"]), "run.changed"));
        assert!(!carries(&list(&["run.changed"]), "run.change"));
    }
}
