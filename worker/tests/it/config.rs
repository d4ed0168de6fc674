//! The command line.

use clap::{CommandFactory as _, Parser as _};
use worker::Config;

/// Every flag is declared once, and what must be given must be given.
#[test]
fn the_command_line_is_sound() {
    Config::command().debug_assert();
    let error = Config::try_parse_from(["switchboard-worker"]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

/// Keys are never printed.
#[test]
fn debug_output_holds_no_secret() {
    let config = Config::try_parse_from([
        "switchboard-worker",
        "--database-url=postgres://user:hunter2@localhost/x",
        "--redis-url=redis://:hunter2@localhost",
        "--credential-keys=1:hunter2",
    ])
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}
