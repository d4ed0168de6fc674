//! Accounts: what their tenant does with them (`row`, `lifecycle`, `removal`), what their live session writes
//! (`session`, `pairing`, `passkeys`), and what the scheduler does with those that have no live owner (`neglected`).
//! Everything that writes `accounts` is here, except the times of requesting and reading the groups (`groups`).
//!
//! `domain::account::life` decides the status and the wanted state of an account. This module writes the decision.
//!
//! Every writer locks in this order: the lease row, the account row, the row of its pairing. An account that is wanted
//! `erased` is hidden from its tenant.

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
