//! Reads a command line together with the environment: the default command, and secrets from files.

use std::ffi::{OsStr, OsString};

use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, FromArgMatches};

use super::refusal;
use super::secret::{FILE_SUFFIX, secret_variable};

/// Parses a command line. Without a command it means `default`. The value of a secret setting (one whose value `--help`
/// hides) may be in a file, as container platforms mount secrets. The variable with the suffix `_FILE` names the file:
/// `DATABASE_URL_FILE=/run/secrets/database-url`.
///
/// # Errors
/// If it is wrong, or asks for help. The text names the setting.
#[expect(clippy::disallowed_methods, reason = "this is where configuration is read")]
pub fn read<C: CommandFactory + FromArgMatches>(
    args: impl IntoIterator<Item = OsString>,
    default: &str,
) -> Result<C, clap::Error> {
    read_in(args, default, &|name| std::env::var_os(name))
}

fn read_in<C: CommandFactory + FromArgMatches>(
    args: impl IntoIterator<Item = OsString>,
    default: &str,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<C, clap::Error> {
    let mut wrong = None;
    let mut command = with_secret_files(C::command(), variable, &mut wrong);
    let matches = command
        .try_get_matches_from_mut(with_default_command(args, default))
        .map_err(|error| refusal::named(error, &mut command))?;
    if let Some(problem) = wrong {
        return Err(command.error(ErrorKind::InvalidValue, problem));
    }
    C::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// The arguments, with the default command if none is named.
fn with_default_command(args: impl IntoIterator<Item = OsString>, default: &str) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let about = ["-h", "--help", "-V", "--version"];
    let names_a_command = args.get(1).is_some_and(|first| {
        let first = first.to_string_lossy();
        !first.starts_with('-') || about.contains(&first.as_ref())
    });
    if !names_a_command {
        args.insert(1.min(args.len()), default.into());
    }
    args
}

/// The command, with the contents of secret files as default values, including those of all its subcommands.
fn with_secret_files(
    command: Command,
    variable: &dyn Fn(&str) -> Option<OsString>,
    wrong: &mut Option<String>,
) -> Command {
    command
        .mut_args(|arg| with_secret_file(arg, variable, wrong))
        .mut_subcommands(|below| with_secret_files(below, variable, wrong))
}

fn with_secret_file(arg: Arg, variable: &dyn Fn(&str) -> Option<OsString>, wrong: &mut Option<String>) -> Arg {
    let Some(name) = secret_variable(&arg) else { return arg };
    let file_variable = format!("{name}{FILE_SUFFIX}");
    let Some(path) = variable(&file_variable).filter(|path| !path.is_empty()) else { return arg };
    if variable(&name).is_some() {
        *wrong = Some(format!("{name} and {file_variable} are both set; remove one"));
        return arg.required(false);
    }
    match secret_in(&path) {
        Ok(secret) => arg.required(false).default_value(secret).hide_default_value(true),
        Err(problem) => {
            *wrong = Some(format!("{file_variable}={}: {problem}", path.to_string_lossy()));
            arg.required(false)
        }
    }
}

/// The text of a file, without the final newline that editors add.
fn secret_in(path: &OsStr) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("it can't be read: {error}"))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() { Err("it is empty".to_owned()) } else { Ok(secret.to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[derive(clap::Parser, Debug)]
    #[command(name = "test")]
    struct Cli {
        #[command(subcommand)]
        command: What,
    }

    #[derive(clap::Subcommand, Debug)]
    enum What {
        Serve(Settings),
        Other(Settings),
        Bare,
    }

    #[derive(clap::Args, Debug)]
    struct Settings {
        #[arg(long, env = "READ_TEST_URL", hide_env_values = true)]
        url: String,
        #[arg(long, env = "READ_TEST_PLAIN", default_value = "x")]
        plain: String,
    }

    fn read_with(args: &[&str], variables: &[(&str, &str)]) -> Result<Cli, String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(*value));
        let args = std::iter::once("test").chain(args.iter().copied()).map(OsString::from);
        read_in(args, "serve", &variable).map_err(|error| error.to_string())
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    /// R06: a secret is read from the file that its variable with `_FILE` names, for every command that takes it.
    #[test]
    fn a_secret_lies_in_a_file() {
        let secret = file("postgres://user:pass word@host/db\n");
        let variables = [("READ_TEST_URL_FILE", secret.path().to_str().unwrap())];
        let Ok(Cli { command: What::Serve(settings) }) = read_with(&[], &variables) else { panic!("serves") };
        assert_eq!((settings.url.as_str(), settings.plain.as_str()), ("postgres://user:pass word@host/db", "x"));
        let Ok(Cli { command: What::Other(settings) }) = read_with(&["other"], &variables) else { panic!("other") };
        assert_eq!(settings.url, "postgres://user:pass word@host/db");
        assert!(matches!(read_with(&["bare"], &variables), Ok(Cli { command: What::Bare })));
        let Ok(Cli { command: What::Serve(settings) }) = read_with(&["--url", "flag"], &variables) else { panic!() };
        assert_eq!(settings.url, "flag", "a flag goes before it");
        let help = read_with(&["serve", "--help"], &variables).unwrap_err();
        assert!(!help.contains("pass word"), "{help}");
    }

    /// R06: an error in a file is reported with the name of the setting, and never with the file's content.
    #[test]
    fn a_bad_file_is_named() {
        let missing = [("READ_TEST_URL_FILE", "/does/not/exist")];
        let says = read_with(&[], &missing).unwrap_err();
        assert!(says.contains("READ_TEST_URL_FILE=/does/not/exist: it can't be read"), "{says}");
        let empty = file("\n");
        let says = read_with(&[], &[("READ_TEST_URL_FILE", empty.path().to_str().unwrap())]).unwrap_err();
        assert!(says.contains("READ_TEST_URL_FILE") && says.contains("it is empty"), "{says}");
        let secret = file("s3cret");
        let both = [("READ_TEST_URL_FILE", secret.path().to_str().unwrap()), ("READ_TEST_URL", "y")];
        let says = read_with(&[], &both).unwrap_err();
        assert!(says.contains("READ_TEST_URL and READ_TEST_URL_FILE are both set"), "{says}");
        assert!(!says.contains("s3cret"));
        let says = read_with(&[], &[("READ_TEST_PLAIN_FILE", "/does/not/exist")]).unwrap_err();
        assert!(says.contains("--url"), "only secrets lie in files: {says}");
    }
}
