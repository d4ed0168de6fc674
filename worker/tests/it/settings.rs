//! The output of the binary for missing or wrong settings.

use std::process::{Command, Stdio};

use clap::CommandFactory as _;
use kit::settings;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard-worker");

/// R06: each setting of each command with an empty value, garbage, and values below and above its bounds: exit 64, one
/// line with its name, no secret.
#[test]
fn bad_values_are_refused_by_name() {
    let tried = settings::refuses_bad_values(PROGRAM, &worker::Cli::command());
    assert!(tried > 20, "{tried}");
}

/// R06: a missing secret is named with the ways to set it.
#[test]
fn a_missing_secret_is_named() {
    let done = Command::new(PROGRAM).env_clear().stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(64), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for words in ["switchboard-worker: missing: ", "DATABASE_URL (or --database-url)", "DATABASE_URL_FILE", "REDIS_URL"]
    {
        assert!(said.contains(words), "{said}");
    }
}
