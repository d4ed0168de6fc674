//! The target of exported spans.

/// The target of the spans that are exported. No others are.
pub const TARGET: &str = "switchboard::story";
