//! Messages: accepted (`accept`), handed over and acknowledged (`outbox`, `handing`), canceled, expired, received. All
//! writes of the table `messages` are here.

mod accept;
pub(crate) mod call_back;
pub mod handing;
pub mod inbound;
mod neglected;
pub(crate) mod of_run;
pub mod outbox;
mod prune;
mod row;
pub mod unsent;

pub use accept::*;
pub use neglected::{expire_messages, strand_runs};
pub use prune::prune;
pub use row::*;
