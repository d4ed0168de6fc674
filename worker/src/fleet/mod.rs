//! The accounts that this worker holds: how many, which, and for how long it may act for them.
//!
//! `view` reads what the other workers have, `placement` computes the shares, and `balance` claims and gives back.
//! `supervisor` starts and ends sessions, `keeper` keeps the right to act for them, and `stop` gives all of them back.
//! `name` holds the lock on the worker's name, and takes back what a crash has left.

pub mod balance;
pub mod hand_over;
pub mod keeper;
pub mod name;
pub mod placement;
pub mod stop;
pub mod supervisor;
pub mod trust;
pub mod view;
