//! Pure. An outbound message: its states, its limits, and its id on WhatsApp.

use serde::{Deserialize, Serialize};

/// The longest text, in characters. WhatsApp's own clients have the same limit.
pub const MAX_TEXT: usize = 65_536;
/// The number of random bytes in a message id.
pub const ID_ENTROPY: usize = 9;

/// The state of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", schema(as = MessageState))]
pub enum State {
    /// Accepted. It waits for its turn, or for the account to be online.
    Queued,
    /// WhatsApp's server has acknowledged it.
    Sent,
    /// It reached a device of the recipient.
    Delivered,
    /// The recipient has read it.
    Read,
    /// It will not be sent. `reason` says why.
    Failed,
    /// It was called back before it was sent.
    Canceled,
    /// `expires_at` passed before it could be sent.
    Expired,
}

impl State {
    /// All states.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Sent, Self::Delivered, Self::Read, Self::Failed, Self::Canceled, Self::Expired];

    /// The value in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
        }
    }
}

/// Why a text can't be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`MAX_TEXT`].
    #[error("must have at most {MAX_TEXT} characters")]
    TooLong,
    /// Contains a NUL, which neither Postgres nor a phone stores.
    #[error("must not contain NUL characters")]
    Nul,
}

/// Checks that a text can be sent. It is sent exactly as given, white space included.
///
/// # Errors
/// If it is blank, longer than [`MAX_TEXT`] characters, or contains a NUL.
pub fn check_text(text: &str) -> Result<(), TextError> {
    if text.trim().is_empty() {
        return Err(TextError::Empty);
    }
    if text.chars().count() > MAX_TEXT {
        return Err(TextError::TooLong);
    }
    if text.contains('\0') {
        return Err(TextError::Nul);
    }
    Ok(())
}

/// A message id in the form of WhatsApp Web: `3EB0` and 18 upper-case hex digits. It is chosen when the row is written,
/// so that recipients see a second attempt as the same message.
#[must_use]
pub fn whatsapp_id(entropy: [u8; ID_ENTROPY]) -> String {
    format!("3EB0{}", hex::encode_upper(entropy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_looks_like_one_of_whatsapp_web() {
        assert_eq!(whatsapp_id([0xAB; ID_ENTROPY]), "3EB0ABABABABABABABABAB");
        assert_eq!(whatsapp_id([0; ID_ENTROPY]).len(), 22);
    }

    #[test]
    fn a_text_is_neither_blank_nor_endless() {
        assert_eq!(check_text(" hello "), Ok(()));
        assert_eq!(check_text(" \n"), Err(TextError::Empty));
        assert_eq!(check_text("a\0"), Err(TextError::Nul));
        assert_eq!(check_text(&"ä".repeat(MAX_TEXT)), Ok(()));
        assert_eq!(check_text(&"ä".repeat(MAX_TEXT + 1)), Err(TextError::TooLong));
    }

    #[test]
    fn a_state_is_spelled_alike_in_rows_and_answers() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).ok(), Some(serde_json::Value::from(state.as_str())));
        }
    }
}
