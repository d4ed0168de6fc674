//! The right of a live session to write.

use domain::id::AccountId;

/// The right to write for an account: the account, and the epoch under which it was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The account.
    pub account: AccountId,
    /// The number of the claim. A later claim has a higher one.
    pub epoch: i64,
}
