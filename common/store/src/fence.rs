//! The right of a live session to write.

use domain::id::AccountId;

/// The right to write for one account's live session: the account and the epoch under which it was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Whose session.
    pub account: AccountId,
    /// The claim's number; a later claim has a higher one.
    pub epoch: i64,
}
