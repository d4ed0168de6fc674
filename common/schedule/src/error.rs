//! Pure. Why something was not accepted.

use std::fmt;

/// Why something of a reminder was not accepted; shown to the tenant as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Error {
    /// The field as it is written in a request, such as `recurrence.weekdays`.
    pub field: &'static str,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

impl Error {
    pub(crate) fn new(field: &'static str, message: impl fmt::Display) -> Self {
        Self { field, message: message.to_string() }
    }
}
