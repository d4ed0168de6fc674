//! Pure. Webhooks: the allowed addresses, signatures, retries, and the kinds of events that they carry.

use crate::event::Kind;
use schedule::nearest::did_you_mean;

pub mod address;
pub mod delivery;
pub mod retry;
pub mod signature;

/// The highest number of webhooks of a tenant.
pub const MAX_PER_TENANT: i64 = 20;
/// The highest number of kinds that one webhook names.
const MAX_KINDS: usize = 50;
/// How many characters of an unknown kind an error repeats.
const SHOWN: usize = 100;
/// The kind that `test` sends. It is not an event: no stream and no other webhook receives it.
pub const TEST: &str = "webhook.test";

/// Why a list of kinds was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKinds {
    /// There are too many.
    #[error("must be at most {MAX_KINDS} kinds; none: all")]
    TooMany,
    /// It is not the name of a kind.
    #[error("`{0}` is no kind of event{meant}", meant = did_you_mean(.0, Kind::ALL.iter().map(|kind| kind.as_str())))]
    Unknown(String),
}

/// Checks the kinds that a webhook is to carry. Returns them sorted and without duplicates.
///
/// # Errors
/// If there are too many, or one is not a kind of event.
pub fn kinds(given: &[String]) -> Result<Vec<String>, BadKinds> {
    if given.len() > MAX_KINDS {
        return Err(BadKinds::TooMany);
    }
    if let Some(unknown) = given.iter().find(|kind| Kind::parse(kind).is_none()) {
        return Err(BadKinds::Unknown(unknown.chars().take(SHOWN).collect()));
    }
    let mut kinds = given.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

/// Whether a webhook with these `kinds` carries an event of `kind`. An empty list carries all.
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
            ("message.recieved", "; did you mean `message.received`"),
            ("Account.Status_Changed", "; did you mean `account.status_changed`"),
            ("session.qr_code", "; did you mean `session.qr`"),
            ("", ""),
            ("xyz", ""),
        ] {
            let error = kinds(&list(&[word])).unwrap_err();
            let start = format!("`{word}` is no kind of event{meant}");
            assert!(error.to_string().starts_with(&start), "{error}");
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
