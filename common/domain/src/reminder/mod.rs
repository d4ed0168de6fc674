//! Pure. The states of a reminder, and its late occurrences. The crate `schedule` computes when it fires.

pub mod catch_up;
pub mod life;

pub use catch_up::{Misfire, Overlap};
