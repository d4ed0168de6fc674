//! What each process of the house needs, whatever its work: a way from the command line to the exit code, settings, clocks,
//! health, doors, metrics, logs and traces, a start and a graceful stop.

pub mod clock;
pub mod config;
pub mod doctor;
pub mod door;
pub mod exit;
pub mod host;
pub mod ops;
pub mod probe;
pub mod program;
pub mod serving;
pub mod shutdown;
pub mod startup;
pub mod telemetry;
pub mod trouble;
