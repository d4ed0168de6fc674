//! `docs/cli` contains the `--help` of each command of each binary. The help of `testing/chaos` and `testing/demo` is
//! checked in those crates.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};
use kit::printed;

/// The help of a command and its subcommands, without the values that variables have on this machine.
fn help(words: &str, command: &Command, text: &mut String) {
    let shown = command.clone().bin_name(words).mut_args(|arg| arg.hide_env_values(true));
    let shown = shown.disable_help_subcommand(true).render_long_help().to_string();
    write!(text, "$ {words} --help\n{}\n\n", shown.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")).unwrap();
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        help(&format!("{words} {}", below.get_name()), below, text);
    }
}

/// R06: the help of the binaries is in the tree, so that a change is seen.
#[test]
fn the_help_stands_in_the_tree() {
    let ours = [api::config::Cli::command(), worker::Cli::command(), scheduler::Cli::command()];
    for cli in ours.into_iter().chain([simulator::flags::Flags::command()]) {
        let mut text = String::new();
        help(cli.get_name(), &cli, &mut text);
        printed(&format!("docs/cli/{}.txt", cli.get_name()), &format!("{}\n", text.trim_end()));
    }
}
