//! The exit codes of all binaries. `docs/configuration.md` prints them.

use std::fmt;
use std::process::{ExitCode, Termination};

/// The exit code of one of our binaries. `main` returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked, or stopped as asked.
    Well = 0,
    /// It failed, was cut off, or found a problem. It says why.
    Failed = 1,
    /// Its command line or a variable is wrong (`EX_USAGE`). Nothing was started.
    BadSettings = 64,
    /// Its keys do not fit the sealed records in the database (`EX_CONFIG`). Nothing was changed.
    BadKeys = 78,
}

impl Exit {
    /// All codes; the general failure is last.
    pub const ALL: [Self; 4] = [Self::Well, Self::BadSettings, Self::BadKeys, Self::Failed];

    /// The number for the system.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The meaning of the number, for people.
    #[must_use]
    pub const fn means(self) -> &'static str {
        match self {
            Self::Well => "done, or stopped as asked",
            Self::Failed => "anything else",
            Self::BadSettings => "a setting is missing or wrong",
            Self::BadKeys => {
                "a worker lacks a key under which credentials are sealed, or was given another one under its id"
            }
        }
    }

    /// Wraps an error so that the process exits with this code. The error's text stays the same.
    #[must_use]
    pub fn because(self, error: anyhow::Error) -> anyhow::Error {
        Because { exit: self, error }.into()
    }

    /// The exit code for an error: the one given by [`Exit::because`], otherwise [`Exit::Failed`].
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        error.downcast_ref::<Because>().map_or(Self::Failed, |because| because.exit)
    }

    /// Exits the process immediately. Work under way is not finished.
    pub fn leave(self) -> ! {
        std::process::exit(i32::from(self.code()))
    }
}

/// Done.
impl From<()> for Exit {
    fn from((): ()) -> Self {
        Self::Well
    }
}

/// Done; true if all is well.
impl From<bool> for Exit {
    fn from(well: bool) -> Self {
        if well { Self::Well } else { Self::Failed }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.code().into()
    }
}

/// An error that has an exit code of its own.
#[derive(Debug)]
struct Because {
    exit: Exit,
    error: anyhow::Error,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Because {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    /// R06: an error has the same text, whatever exit code it has.
    #[test]
    fn an_error_keeps_its_words() {
        let plain = || Err::<(), _>(anyhow!("no such key")).context("at the start").unwrap_err();
        assert_eq!(Exit::of(&plain()), Exit::Failed);
        let told = Exit::BadKeys.because(plain());
        assert_eq!(Exit::of(&told), Exit::BadKeys);
        assert_eq!(Exit::of(&told.context("worker")), Exit::BadKeys);
        assert_eq!(format!("{:#}", Exit::BadKeys.because(plain())), format!("{:#}", plain()));
        assert_eq!(format!("{:#}", plain()), "at the start: no such key");
    }

    /// R06: scripts and charts rely on these codes, and no two of them are equal.
    #[test]
    fn the_codes_stay_what_they_are() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 64, 78, 1]);
        assert_eq!([Exit::from(()), Exit::from(true), Exit::from(false)], [Exit::Well, Exit::Well, Exit::Failed]);
    }
}
