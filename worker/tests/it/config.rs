//! The command line.

use clap::CommandFactory as _;
use worker::config::Shares;
use worker::{Cli, Command};

fn read(args: &[&str]) -> Result<Command, clap::Error> {
    let args = ["switchboard-worker"].iter().chain(args).map(std::ffi::OsString::from);
    Cli::read(args).map(|cli| cli.command)
}

/// 32 bytes.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The command line is declared correctly, and required arguments are required.
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
        &format!("--credential-keys=1:{KEY}"),
        "--whatsapp-url=ws://127.0.0.1:1/ws/chat",
    ])
    .unwrap();
    let shown = format!("{command:?}");
    assert!(!shown.contains("hunter2") && !shown.contains(KEY), "{shown}");
}

/// Without a command the binary works, as it always did. `keys` needs only the database and the keys.
#[test]
fn a_command_looks_after_keys() {
    let keys = format!("--credential-keys=1:{KEY}");
    let stores = ["--database-url=postgres://x/y", keys.as_str()];
    let work = read(&[&stores[..], &["--redis-url=redis://x", "--whatsapp-url=ws://127.0.0.1:1/ws/chat"]].concat());
    assert!(matches!(work, Ok(Command::Work(_))), "{work:?}");
    for command in ["rotate", "list"] {
        let read = read(&[&["keys", command], &stores[..]].concat());
        assert!(matches!(read, Ok(Command::Keys { .. })), "{read:?}");
    }
    assert!(read(&["keys", "rotate", "--batch=0", stores[0], stores[1]]).is_err());
}

/// R89: a worker's connections to Postgres are in total what the setting says.
#[test]
fn connections_are_shared_out() {
    for (all, name, keeping, credentials, sessions, rows) in
        [(4, 0, 1, 1, 1, 1), (7, 0, 1, 3, 1, 2), (8, 1, 2, 2, 1, 2), (16, 1, 2, 6, 3, 4), (33, 1, 2, 15, 7, 8)]
    {
        assert_eq!(Shares::of(all), Shares { name, keeping, credentials, sessions, rows }, "{all}");
        assert_eq!(name + keeping + credentials + sessions + rows, all);
    }
}
