//! The report of a wrong command line or variable: it names the setting by its variable, says what is wrong, and never
//! shows a secret.

use std::fmt::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

use super::secret::{FILE_SUFFIX, secret_variable};
use crate::exit::Exit;

/// Reports an error of the command line or a variable, in one line if it is about a setting, or prints the requested
/// help. Returns the exit code.
#[must_use]
pub fn report(binary: &str, error: &Error) -> Exit {
    if !error.use_stderr() {
        return error.print().is_ok().into();
    }
    let text = error.to_string();
    let settings = [ErrorKind::MissingRequiredArgument, ErrorKind::InvalidValue, ErrorKind::ValueValidation];
    if settings.contains(&error.kind()) {
        let line = text.lines().next().unwrap_or_default();
        eprintln!("{binary}: {}", line.strip_prefix("error: ").unwrap_or(line));
    } else {
        eprint!("{text}");
    }
    Exit::BadSettings
}

/// The same error, in one line that names the setting by its variable. An error that is about no setting is unchanged.
pub(super) fn named(mut error: Error, command: &mut Command) -> Error {
    command.build(); // an argument can be displayed only after that
    let args = all_args(command);
    let find = |shown: &str| args.iter().find(|arg| arg.to_string() == shown);
    let says = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(shown))) => {
            let missing: Vec<String> = shown.iter().map(|shown| find(shown).map_or(shown.clone(), missing)).collect();
            format!("missing: {}", missing.join("; "))
        }
        (ErrorKind::InvalidValue | ErrorKind::ValueValidation, Some(ContextValue::String(shown))) => {
            let Some(arg) = find(shown) else { return hidden(error, None) };
            if arg.get_env().is_none() {
                return hidden(error, Some(arg));
            }
            wrong(arg, &error)
        }
        _ => return error,
    };
    let kind = error.kind();
    error = command.error(kind, says);
    error.remove(ContextKind::Usage);
    error
}

/// Hides the value of a secret.
fn hidden(mut error: Error, arg: Option<&Arg>) -> Error {
    if arg.is_some_and(Arg::is_hide_env_values_set) {
        error.insert(ContextKind::InvalidValue, ContextValue::String("…".to_owned()));
    }
    error
}

/// The names of a setting: `DATABASE_URL (or --database-url)`.
fn name(arg: &Arg) -> String {
    let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
    let flag = arg.get_long().map(|long| format!("--{long}"));
    match (variable, flag) {
        (Some(variable), Some(flag)) => format!("{variable} (or {flag})"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => arg.to_string(),
    }
}

fn missing(arg: &Arg) -> String {
    let mut text = name(arg);
    if let Some(variable) = secret_variable(arg) {
        let _ = write!(text, ", or a file that holds it in {variable}{FILE_SUFFIX}");
    }
    if let Some(help) = arg.get_help() {
        let _ = write!(text, ": {help}");
    }
    text
}

fn wrong(arg: &Arg, error: &Error) -> String {
    use std::error::Error as _;
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) if !texts.is_empty() => Some(texts.join(", ")),
        _ => None,
    };
    let value = match text(ContextKind::InvalidValue) {
        _ if arg.is_hide_env_values_set() => "its value is not taken".to_owned(),
        Some(value) if value.is_empty() => "it is empty".to_owned(),
        Some(value) => format!("`{}` is not taken", value.escape_debug()),
        None => "its value is not taken".to_owned(),
    };
    let why = match (error.source(), text(ContextKind::ValidValue)) {
        (Some(source), _) => format!(": {source}"),
        (None, Some(valid)) => format!(": it must be one of {valid}"),
        (None, None) => String::new(),
    };
    format!("{}: {value}{why}", name(arg))
}

fn all_args(command: &Command) -> Vec<Arg> {
    let below = command.get_subcommands().flat_map(all_args);
    command.get_arguments().cloned().chain(below).collect()
}
