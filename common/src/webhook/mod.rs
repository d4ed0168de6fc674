//! Pure. Webhooks: where they may lead, how they are signed, when an attempt is repeated, and which events they carry (R63).

pub mod address;
pub mod retry;
pub mod signature;

/// Webhooks of one tenant.
pub const MAX_PER_TENANT: i64 = 20;
/// Kinds that one webhook names.
const MAX_KINDS: usize = 50;
/// Longest kind, in bytes.
const MAX_KIND: usize = 100;
/// The kind of what `test` sends. It is no event: no stream and no other webhook sees it.
pub const TEST: &str = "webhook.test";
/// A webhook was disabled by the house; data: `webhook_id`, `reason`.
pub const DISABLED: &str = "webhook.disabled";
/// Events grew too old before a webhook came to them; data: `webhook_id`, `count`, `until`.
pub const EVENTS_DROPPED: &str = "webhook.events_dropped";

/// Why kinds were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKinds {
    /// More than anybody needs.
    #[error("must be at most {MAX_KINDS} kinds; none: all")]
    TooMany,
    /// Something that no event is called.
    #[error("`{0}` is no kind of event, such as account.status_changed")]
    Form(String),
}

/// Checks the kinds that a webhook is to carry; sorted, each once.
///
/// # Errors
/// When there are too many, or one can't be the kind of an event. One that no event has yet is accepted: a later release
/// may have it.
pub fn kinds(given: &[String]) -> Result<Vec<String>, BadKinds> {
    if given.len() > MAX_KINDS {
        return Err(BadKinds::TooMany);
    }
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    for kind in given {
        if kind.len() > MAX_KIND || !kind.contains('.') || !kind.split('.').all(word) {
            return Err(BadKinds::Form(kind.chars().take(MAX_KIND).collect()));
        }
    }
    let mut kinds = given.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
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
        for word in ["", "account", "account.", ".x", "Account.x", "account.*", "a b.c", &"a.".repeat(60)] {
            assert!(matches!(kinds(&list(&[word])), Err(BadKinds::Form(_))), "{word}");
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
