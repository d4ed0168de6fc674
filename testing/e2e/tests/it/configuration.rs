//! `docs/configuration.md` is printed from the command lines of the three binaries. `UPDATE=1 cargo test -p e2e
//! --all-features --test it configuration` prints it anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use process::config::{FILE_SUFFIX, secret_variable};
use process::exit::Exit;

const HEAD: &str = "\
# Configuration
<!-- Printed from the code: UPDATE=1 cargo test -p e2e --all-features --test it configuration -->

Each setting is a variable; a flag of the same meaning goes before it. They are read once, at the start. What is missing or wrong ends
the process with exit code 64 and one line that names the variable; an empty variable is a wrong one, so leave out what you don't
want to set. *In a file*: the variable with `_FILE` behind its name may name a file that holds the value, as container platforms
mount secrets (`DATABASE_URL_FILE=/run/secrets/database-url`); set one of the two. Secrets are never logged.

| exit code | means |
| --- | --- |
{exit codes}

Besides these, `SSL_CERT_FILE` names the authorities that are trusted when `REDIS_URL` is `rediss://…` (default: the system's).

## At the start
Each binary serves its ops port at once: `/livez` says 200, `/readyz` 503 and `starting: ` with what it waits for and what to do. It does
no work before Postgres takes writes and the schema is at least its own. What is wrong is said in one line when it changes, and once a
minute where somebody must mend it.

| what is found | what becomes of it | mended by |
| --- | --- | --- |
| a setting is missing or wrong | exits with 64 | correcting it |
| keys that don't fit the database | the worker exits with 78, and has changed nothing | putting the key back |
| Postgres can't be reached, is silent, starting, or out of connections | waits, not ready | itself, when it is there |
| Postgres is read-only (a standby, a fail-over) or its disk is full | waits, not ready | itself, when it takes writes |
| no schema, an old one, or one that is being changed | waits, not ready | `switchboard-api migrate` |
| a schema that is newer | runs, and warns: the release before runs on the new schema | finishing the upgrade |
| wrong password, no such role, no login, no rule in `pg_hba.conf` | waits, not ready; said once a minute | correcting `DATABASE_URL` (and a restart) or the role |
| no such database, a right that is missing, Postgres older than 15 | waits, not ready; said once a minute | creating, granting (the line says which), upgrading |
| TLS: none there, unknown authority, other name, certificate expired | waits, not ready; said once a minute | the line says which of `sslmode`, `sslrootcert` or the certificate |
| the clock is more than 2 s off Postgres's | runs, and warns: signatures of webhooks, expiry of messages and log lines go by it; leases and reminders don't | NTP |
| Redis can't be reached, is full, read-only, refuses the password | runs without it: slower, nothing is lost. Api and worker are not ready, the scheduler is | itself, or correcting `REDIS_URL` |
| Redis evicts (`maxmemory-policy` is not `noeviction`) | runs, and warns once a minute: a lease that is thrown away costs a take-over | setting `noeviction` |

While it runs, nothing of this ends a process: it is not ready, and goes on when it is mended.
";

/// The unit of a value, by the end of its variable's name.
fn unit(variable: &str) -> &'static str {
    let ends: [(&str, &str); 5] = [
        ("_PER_S", "per second"),
        ("_MS", "milliseconds"),
        ("_S", "seconds"),
        ("_DAYS", "days"),
        ("_CONNECTIONS", "connections"),
    ];
    ends.iter().find(|(end, _)| variable.ends_with(end)).map_or("", |(_, unit)| unit)
}

fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| arg.get_env().is_some() && !arg.is_hide_set())
}

fn variable(arg: &Arg) -> String {
    arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn help(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(|text| text.to_string().split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|"))
        .unwrap_or_default()
}

fn default(arg: &Arg) -> String {
    let values: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    match values.as_slice() {
        _ if arg.is_hide_default_value_set() => String::new(),
        [] => String::new(),
        values if variable(arg) == "WORKER_RELEASE" => {
            assert_eq!(values, [env!("CARGO_PKG_VERSION")]);
            "the version".to_owned()
        }
        values => format!("`{}`", values.join(",")),
    }
}

fn table(command: &Command) -> String {
    let mut text = String::from(
        "| variable | flag | default | unit | needed | in a file | meaning |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for arg in settings(command) {
        let name = variable(arg);
        let file = secret_variable(arg).map(|name| format!("`{name}{FILE_SUFFIX}`")).unwrap_or_default();
        let needed = if arg.is_required_set() { "yes" } else { "" };
        let flag = arg.get_long().map(|long| format!("`--{long}`")).unwrap_or_default();
        let (unit, default, meaning) = (unit(&name), default(arg), help(arg.get_help()));
        writeln!(text, "| `{name}` | {flag} | {default} | {unit} | {needed} | {file} | {meaning} |").unwrap();
    }
    text.replace("|  |", "| |").replace("|  |", "| |")
}

/// The arguments of a command that have no variable: positional ones and flags.
fn usage(arg: &Arg) -> Option<String> {
    if arg.get_env().is_some() || arg.is_hide_set() || ["help", "version"].contains(&arg.get_id().as_str()) {
        return None;
    }
    let value = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    let text = match (arg.get_long(), arg.get_action()) {
        (Some(long), ArgAction::SetTrue) => format!("--{long}"),
        (Some(long), _) => format!("--{long} {value}"),
        (None, _) => value,
    };
    Some(if arg.is_required_set() { text } else { format!("[{text}]") })
}

fn commands(words: &str, command: &Command, text: &mut String) {
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        let words = format!("{words} {}", below.get_name());
        if below.has_subcommands() {
            commands(&words, below, text);
            continue;
        }
        let usage: Vec<String> = below.get_arguments().filter_map(usage).collect();
        let line = [words.clone(), usage.join(" ")].join(" ").trim_end().to_owned();
        let needs: Vec<String> = settings(below).map(|arg| format!("`{}`", variable(arg))).collect();
        writeln!(text, "| `{line}` | {} | {} |", needs.join(" "), help(below.get_about())).unwrap();
    }
}

fn document() -> String {
    let codes = Exit::ALL.map(|exit| format!("| {} | {} |", exit.code(), exit.means()));
    let mut text = HEAD.replace("{exit codes}", &codes.join("\n"));
    let binaries = [
        ("serve", api::config::Cli::command()),
        ("work", worker::Cli::command()),
        ("schedule", scheduler::Cli::command()),
    ];
    let mut all = BTreeSet::new();
    for (default, cli) in &binaries {
        let running = cli.find_subcommand(default).unwrap();
        all.extend(settings(running).map(variable));
        write!(text, "\n## {}\n{}\n\n{}", cli.get_name(), help(cli.get_about()), table(running)).unwrap();
        let mut list = String::new();
        commands(cli.get_name(), cli, &mut list);
        let list = list.lines().filter(|line| !line.contains(&format!("{} {default}`", cli.get_name())));
        let list: Vec<&str> = list.collect();
        write!(text, "\n| command | variables | what it does |\n| --- | --- | --- |\n{}\n", list.join("\n")).unwrap();
    }
    let all: Vec<String> = all.into_iter().map(|name| format!("`{name}`")).collect();
    write!(text, "\n## All variables\n{}\n", all.join(" ")).unwrap();
    text.replace("|  |", "| |")
}

/// R06: the page of settings matches the code.
#[test]
fn the_page_of_settings_is_fresh() {
    let page = document();
    kit::printed("docs/configuration.md", &page);
    for word in ["s3cret", "hunter2"] {
        assert!(!page.contains(word));
    }
}
