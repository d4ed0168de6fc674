//! Runs, from the occurrence that fires to the history that remains when the reminder is deleted. All writes of `runs`
//! and `run_targets` are here, with a file for each thing that can happen to a run.

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
