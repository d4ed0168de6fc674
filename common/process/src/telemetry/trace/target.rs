//! Which spans are exported.

/// The target of the spans that are exported; no others are.
pub const TARGET: &str = "switchboard::story";
