//! The command line.

use clap::CommandFactory as _;
use worker::{Cli, Command};

fn read(args: &[&str]) -> Result<Command, clap::Error> {
    let args = ["switchboard-worker"].iter().chain(args).map(std::ffi::OsString::from);
    Cli::read(args).map(|cli| cli.command)
}

/// Every flag is declared once, and what must be given must be given.
#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
    assert_eq!(read(&[]).unwrap_err().exit_code(), 2);
}

/// Keys are never printed.
#[test]
fn debug_output_holds_no_secret() {
    let command = read(&[
        "--database-url=postgres://user:hunter2@localhost/x",
        "--redis-url=redis://:hunter2@localhost",
        "--credential-keys=1:hunter2",
    ])
    .unwrap();
    assert!(!format!("{command:?}").contains("hunter2"));
}

/// Without a command it works, as ever; `keys` needs no more than the rows and the keys.
#[test]
fn a_command_looks_after_keys() {
    let stores = ["--database-url=postgres://x", "--credential-keys=1:x"];
    let work = read(&[&stores[..], &["--redis-url=redis://x"]].concat());
    assert!(matches!(work, Ok(Command::Work(_))), "{work:?}");
    for command in ["rotate", "list"] {
        let keys = read(&[&["keys", command], &stores[..]].concat());
        assert!(matches!(keys, Ok(Command::Keys { .. })), "{keys:?}");
    }
    assert!(read(&["keys", "rotate", "--batch=0", stores[0], stores[1]]).is_err());
}
