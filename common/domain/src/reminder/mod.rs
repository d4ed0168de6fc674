//! Pure. What becomes of a reminder, and of the occurrences that came late. When it fires is computed by `schedule`.

pub mod catch_up;
pub mod life;

pub use catch_up::{Misfire, Overlap};
