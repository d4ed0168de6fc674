//! The version and revision of the build.

/// The version of the code.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The git revision of the build; `unknown` if the build did not set it (`SWITCHBOARD_REVISION`).
pub const REVISION: &str = match option_env!("SWITCHBOARD_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
