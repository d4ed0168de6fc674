//! What was built.

/// The version of the code.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The git revision that it was built from; `unknown` where the build did not say (`SWITCHBOARD_REVISION`).
pub const REVISION: &str = match option_env!("SWITCHBOARD_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
