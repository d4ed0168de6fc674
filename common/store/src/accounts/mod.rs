//! Accounts: what their tenant does with them (`row`, `lifecycle`, `removal`), what their live session writes (`session`, `pairing`,
//! `passkeys`), and what is done about those that nobody has (`neglected`). All that writes `accounts` stands
//! here, but for when the groups were asked for and read (`groups`).
//!
//! What becomes of an account's status, and of what it should be, is decided by `domain::account::life` and written here as it comes.
//!
//! Lock order, held by every writer: the lease row first, then the account row, then the row of its pairing. An account that is
//! wanted `erased` is hidden from its tenant.

mod dependents;
mod lifecycle;
mod neglected;
pub mod pairing;
pub mod passkeys;
mod removal;
mod row;
pub mod session;

pub use lifecycle::{Unpaired, log_out, pair, unlinked, unpair};
pub use neglected::{park_stale_pairings, tell_lost_sessions};
pub use removal::{Deletion, delete, remove};
pub use row::{Account, Pairing, create, get, list, logout_confirmed, pairing, rename};
