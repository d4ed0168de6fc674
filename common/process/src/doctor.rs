//! The result of a check of `doctor`, and what to do about a problem. The checks themselves are in `store`, `bells` and
//! the binaries.

use std::io::Write;

use serde::Serialize;

use crate::trouble::Trouble;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All is well.
    Ok,
    /// It works, but needs attention.
    Warning,
    /// It does not work.
    Failed,
    /// Not checked, because something that it needs has failed.
    Skipped,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "WARNING",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The name of what was checked.
    pub name: &'static str,
    /// The result.
    pub state: State,
    /// What was found.
    pub says: String,
    /// What to do, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Check {
    /// A check that found no problem.
    #[must_use]
    pub fn ok(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, state: State::Ok, says: says.into(), fix: None }
    }

    /// A check that found something which works, but needs attention.
    #[must_use]
    pub fn warning(name: &'static str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, state: State::Warning, says: says.into(), fix: Some(fix.into()) }
    }

    /// A check that failed.
    #[must_use]
    pub fn failed(name: &'static str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, state: State::Failed, says: says.into(), fix: Some(fix.into()) }
    }

    /// A check that failed, with its reason.
    #[must_use]
    pub fn trouble(name: &'static str, trouble: Trouble) -> Self {
        Self::failed(name, trouble.what, trouble.fix)
    }

    /// A check that was not made, because `needs` failed.
    #[must_use]
    pub fn skipped(name: &'static str, needs: &str) -> Self {
        Self { name, state: State::Skipped, says: format!("needs {needs}"), fix: None }
    }
}

/// Prints the checks: as a table with what to do, or as JSON. Returns true if none has failed.
///
/// # Errors
/// If standard output is closed.
pub fn show(checks: &[Check], json: bool, out: &mut (dyn Write + Send)) -> std::io::Result<bool> {
    let well = !checks.iter().any(|check| check.state == State::Failed);
    if json {
        let text = serde_json::json!({"ok": well, "checks": checks});
        writeln!(out, "{text:#}")?;
    } else {
        out.write_all(render(checks).as_bytes())?;
    }
    Ok(well)
}

/// Pure. The table for people.
fn render(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for Check { name, state, says, fix } in checks {
        text.push_str(&format!("{:<8} {name:<width$}  {says}\n", state.word()));
        if let Some(fix) = fix {
            text.push_str(&format!("{:<8} {:<width$}  → {fix}\n", "", ""));
        }
    }
    let of = |wanted: State| checks.iter().filter(|check| check.state == wanted).count();
    let (ok, warnings, failed) = (of(State::Ok), of(State::Warning), of(State::Failed));
    text.push_str(&format!("{ok} ok, {warnings} warnings, {failed} failed, {} skipped\n", of(State::Skipped)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_stands_with_what_to_do() {
        let checks = [Check::ok("a", "fine"), Check::failed("long", "broken", "mend it"), Check::skipped("b", "long")];
        assert_eq!(
            render(&checks),
            "ok       a     fine\nFAILED   long  broken\n               → mend it\nskipped  b     needs long\n\
             1 ok, 0 warnings, 1 failed, 1 skipped\n"
        );
        let mut out = Vec::new();
        assert!(!show(&checks, true, &mut out).unwrap());
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&json["ok"], &json["checks"][1]["fix"]), (&false.into(), &"mend it".into()));
        assert!(show(&[Check::warning("w", "odd", "look")], false, &mut out).unwrap(), "warnings are no failure");
    }
}
