//! `docs/cli` holds what `--help` says, of each command of each binary: `UPDATE=1 cargo test -p e2e --all-features --test it help`
//! writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Command, CommandFactory as _};

/// The help of a command and of those below it. Values of variables are whatever this machine has, and are left out.
fn help(words: &str, command: &Command, text: &mut String) {
    let shown = command.clone().bin_name(words).mut_args(|arg| arg.hide_env_values(true));
    let shown = shown.disable_help_subcommand(true).render_long_help().to_string();
    write!(text, "$ {words} --help\n{}\n\n", shown.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")).unwrap();
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        help(&format!("{words} {}", below.get_name()), below, text);
    }
}

/// R06: what the binaries say of themselves stands in the tree, so that a change is seen.
#[test]
fn the_help_stands_in_the_tree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli");
    let mut stale = Vec::new();
    for cli in [api::config::Cli::command(), worker::Cli::command(), scheduler::Cli::command()] {
        let (path, mut fresh) = (folder.join(format!("{}.txt", cli.get_name())), String::new());
        help(cli.get_name(), &cli, &mut fresh);
        let fresh = format!("{}\n", fresh.trim_end());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &fresh).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != fresh {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "{stale:?}: UPDATE=1 cargo test -p e2e --all-features --test it help");
}
