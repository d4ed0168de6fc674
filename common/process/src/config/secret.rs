//! Which settings are secrets, and where their files are named.

use clap::Arg;

/// Behind the name of a secret's variable: the variable of the file that holds it.
pub const FILE_SUFFIX: &str = "_FILE";

/// The name of the variable of a secret setting.
#[must_use]
pub fn secret_variable(arg: &Arg) -> Option<String> {
    arg.is_hide_env_values_set().then(|| arg.get_env()).flatten().map(|name| name.to_string_lossy().into_owned())
}
