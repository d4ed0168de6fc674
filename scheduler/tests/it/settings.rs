//! What the binary says of settings that are missing or wrong.

use std::process::{Command, Stdio};

use clap::CommandFactory as _;
use kit::settings;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard-scheduler");

/// R06: each setting of each command, empty, garbage, below and above its bounds: exit 64, one line with its name, no secret.
#[test]
fn bad_values_are_refused_by_name() {
    let tried = settings::refuses_bad_values(PROGRAM, &scheduler::Cli::command());
    assert!(tried > 20, "{tried}");
}

/// R06: a secret that is missing is named with the ways to give it.
#[test]
fn a_missing_secret_is_named() {
    let done = Command::new(PROGRAM).env_clear().stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(64), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for words in
        ["switchboard-scheduler: missing: ", "DATABASE_URL (or --database-url)", "DATABASE_URL_FILE", "REDIS_URL"]
    {
        assert!(said.contains(words), "{said}");
    }
}
