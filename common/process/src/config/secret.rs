//! Which settings are secrets, and how the variables of their files are named.

use clap::Arg;

/// The suffix of the variable that names the file of a secret.
pub const FILE_SUFFIX: &str = "_FILE";

/// The variable of a secret setting; `None` if the setting is not secret.
#[must_use]
pub fn secret_variable(arg: &Arg) -> Option<String> {
    arg.is_hide_env_values_set().then(|| arg.get_env()).flatten().map(|name| name.to_string_lossy().into_owned())
}
