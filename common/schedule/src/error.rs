//! Pure. The error for input that is not accepted.

use std::fmt;

/// Why a part of a reminder was not accepted. It is shown to the tenant unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Error {
    /// The field by its name in a request, such as `recurrence.weekdays`.
    pub field: &'static str,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl Error {
    pub(crate) fn new(field: &'static str, message: impl fmt::Display) -> Self {
        Self { field, message: message.to_string() }
    }
}
