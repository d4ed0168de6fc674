//! SQL of session credentials: named records of one account, sealed, written only under the fence.
//!
//! What a `kind` holds, and what its `number` means, is up to the caller. Every write is one statement that locks the
//! account's lease row against a claim (`FOR SHARE`) and checks the epoch: a plain `EXISTS` would let a write land
//! after the next owner's claim has committed.
//!
//! A store that met a record under a key it was not given writes and deletes nothing more: whoever can't read all of an
//! account's state must not go on changing it.

pub mod keys;
mod read;
mod record;
mod write;

pub use record::{CredentialStore, Record};
pub use write::scrub;
pub(crate) use write::{forget, forget_all};
