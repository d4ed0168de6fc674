//! Pure. A problem with a store: what is wrong, and what to do, in one line each. Shown by a process that starts, by
//! readiness and by `doctor`. Never contains a secret.

use std::time::Duration;

pub mod postgres;
pub mod redis;

/// How a problem ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mended {
    /// It passes by itself: the server comes back, the migration ends, space is freed. Logged once.
    InTime,
    /// Somebody must act: correct a password, grant a right, correct a name. Logged once a minute.
    ByHand,
}

/// A problem with a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The kind, as in the metrics of errors.
    pub kind: &'static str,
    /// One line: what is wrong.
    pub what: String,
    /// One line: what to do.
    pub fix: String,
    /// How it ends.
    pub mended: Mended,
}

impl Trouble {
    /// A problem that passes by itself.
    #[must_use]
    pub fn in_time(kind: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { kind, what: line(&what.into()), fix: line(&fix.into()), mended: Mended::InTime }
    }

    /// A problem that somebody must solve.
    #[must_use]
    pub fn by_hand(kind: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { mended: Mended::ByHand, ..Self::in_time(kind, what, fix) }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.fix)
    }
}

impl std::error::Error for Trouble {}

/// Joins a foreign text into one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How often a problem that somebody must solve is logged again.
const REMINDER: Duration = Duration::from_secs(60);

/// Decides which results of repeated checks are logged: each change, and once a minute a problem that somebody must
/// solve.
#[derive(Debug, Default)]
pub struct Teller {
    last: Option<(Trouble, Duration)>,
}

/// What to log after a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    /// Nothing: there is no change.
    Nothing,
    /// There is this problem.
    Wrong,
    /// The problem is over.
    Mended,
}

impl Teller {
    /// Records a check. `now` is the time since any fixed instant.
    pub fn look(&mut self, found: Option<&Trouble>, now: Duration) -> Say {
        let Some(trouble) = found else {
            return if self.last.take().is_some() { Say::Mended } else { Say::Nothing };
        };
        let said = self.last.as_ref().is_some_and(|(last, at)| {
            let reminded = trouble.mended == Mended::ByHand && now.saturating_sub(*at) >= REMINDER;
            last == trouble && !reminded
        });
        if said {
            return Say::Nothing;
        }
        self.last = Some((trouble.clone(), now));
        Say::Wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_one_line() {
        let trouble = Trouble::by_hand("auth", "refused\n by  it", "mend\tit");
        assert_eq!(trouble.to_string(), "refused by it: mend it");
    }

    #[test]
    fn each_change_is_said_once_and_what_waits_for_somebody_once_a_minute() {
        let (passes, stays) = (Trouble::in_time("unreachable", "a", "b"), Trouble::by_hand("auth", "c", "d"));
        let mut teller = Teller::default();
        for (at_s, found, says) in [
            (0, None, Say::Nothing),
            (1, Some(&passes), Say::Wrong),
            (2, Some(&passes), Say::Nothing),
            (500, Some(&passes), Say::Nothing),
            (501, Some(&stays), Say::Wrong),
            (560, Some(&stays), Say::Nothing),
            (561, Some(&stays), Say::Wrong),
            (562, Some(&stays), Say::Nothing),
            (563, Some(&passes), Say::Wrong),
            (564, None, Say::Mended),
            (565, None, Say::Nothing),
        ] {
            assert_eq!(teller.look(found, Duration::from_secs(at_s)), says, "at {at_s}");
        }
    }
}
