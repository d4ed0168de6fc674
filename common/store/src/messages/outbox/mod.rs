//! SQL of the outbox: the messages that a session still has to send (`looks`), and their results (`ends`, `attempts`,
//! `receipts`). Reads need no fence, every write has one. What many sessions ask for at the same time is one statement.

mod attempts;
mod ends;
mod looks;
mod receipts;
mod written;

pub use attempts::{blame, blamed, count_attempts};
pub use ends::{Outcome, finish};
pub use looks::{Waiting, waiting, waiting_chats};
pub use receipts::{Receipt, receipts};
