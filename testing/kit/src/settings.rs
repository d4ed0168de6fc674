//! Checks every setting of a binary, as read from its command line: a wrong value is found at the start.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test support: a failure is a panic")]

use std::process::{Command as Process, Stdio};

use clap::{Arg, Command};
use process::exit::Exit;

/// A value that no setting accepts. It contains a word that no error may repeat if the setting is a secret.
const GARBAGE: &str = "\u{1}=s3cret=\u{7}";

/// A setting of one command.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The words of the command, for example `["keys", "rotate"]`.
    pub command: Vec<String>,
    /// The argument that takes the value.
    pub arg: Arg,
}

impl Setting {
    /// The name of its variable.
    #[must_use]
    pub fn variable(&self) -> String {
        self.arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The minimum and maximum that its help states, for example `1 to 3,600`.
    #[must_use]
    pub fn bounds(&self) -> Option<(i64, i64)> {
        let help = self.arg.get_help().map(ToString::to_string).unwrap_or_default();
        let number = |word: &str| word.trim_end_matches([':', ';', ',', '.']).replace(',', "").parse::<i64>().ok();
        let words: Vec<&str> = help.split_whitespace().collect();
        words.windows(3).find_map(|three| match three {
            [least, "to", most] => Some((number(least)?, number(most)?)),
            _ => None,
        })
    }
}

/// All settings of all commands that have a variable. Hidden settings, which are for fault campaigns, are left out.
#[must_use]
pub fn all(cli: &Command) -> Vec<Setting> {
    let mut found = Vec::new();
    walk(cli, &mut Vec::new(), &mut found);
    found
}

fn walk(command: &Command, words: &mut Vec<String>, found: &mut Vec<Setting>) {
    for arg in command.get_arguments().filter(|arg| arg.get_env().is_some() && !arg.is_hide_set()) {
        found.push(Setting { command: words.clone(), arg: arg.clone() });
    }
    for below in command.get_subcommands() {
        words.push(below.get_name().to_owned());
        walk(below, words, found);
        words.pop();
    }
}

/// Runs the binary once for each setting of each command and each wrong value: empty, garbage, below the minimum, above
/// the maximum. It must exit with 64 and one line that names the variable, and never show a secret. The help of a
/// number must state its bounds. Returns the number of tries.
///
/// # Panics
/// If the binary does otherwise.
pub fn refuses_bad_values(program: &str, cli: &Command) -> usize {
    let mut tried = 0;
    for setting in all(cli) {
        let variable = setting.variable();
        let default = setting.arg.get_default_values().first().and_then(|default| default.to_str());
        let is_number = default.is_some_and(|default| default.parse::<i64>().is_ok());
        let bounds = setting.bounds();
        assert_eq!(
            is_number,
            bounds.is_some(),
            "{variable}: a number tells its bounds, `1 to 9`, and nothing else does"
        );
        let mut bad = vec![String::new(), GARBAGE.to_owned()];
        if let Some((least, most)) = bounds {
            bad.extend([(least - 1).to_string(), (most + 1).to_string()]);
        }
        for value in bad {
            tried += 1;
            let done = Process::new(program)
                .args(&setting.command)
                .env_clear()
                .env(&variable, &value)
                .stdin(Stdio::null())
                .output()
                .unwrap_or_else(|error| panic!("{program}: {error}"));
            let said = String::from_utf8_lossy(&done.stderr);
            let what = format!("{:?} {variable}={value:?} says: {said}", setting.command);
            assert_eq!(done.status.code(), Some(i32::from(Exit::BadSettings.code())), "{what}");
            assert!(said.contains(&variable), "{what}");
            assert_eq!(said.trim_end().lines().count(), 1, "{what}");
            assert!(!setting.arg.is_hide_env_values_set() || !said.contains("s3cret"), "{what}");
        }
    }
    tried
}
