//! SQL of session credentials: named records of one account, sealed, and written only under the fence.
//!
//! The caller defines what a `kind` contains and what its `number` means. Every write is one statement, which may write
//! for many sessions. It locks each account's lease row against a claim (`FOR SHARE`) and checks the epoch. A plain
//! `EXISTS` would allow a write after the next owner's claim has committed.
//!
//! Once a store has met a record under an unknown key, it writes and deletes nothing more: a process that can't read
//! all of an account's state must not change it.

mod batch;
pub mod keys;
mod read;
mod record;
mod write;

pub use record::{CredentialStore, Record};
pub use write::scrub;
pub(crate) use write::{forget, forget_all};
