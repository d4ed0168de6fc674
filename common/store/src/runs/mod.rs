//! Runs, from the occurrence that fires to the history that outlives its reminder. All that writes `runs` and `run_targets` stands
//! here, a file for each thing that happens to a run.

mod change;
pub(crate) mod correct;
mod ends;
mod expand;
mod fire;
mod history;
mod insert;
mod prune;
mod settle;
pub(crate) mod supersede;
mod targets;

pub use change::{Canceled, Resumed, cancel, clear, resume};
pub use expand::{Expansion, expand_run, give_up_runs};
pub use fire::{Fired, Firing, fire_due, next_due_in};
pub use history::{Filter, Run, Target, get, list, reminder_is_there};
pub use prune::prune;
pub use settle::{Settled, settle_runs, unsettled_runs};
