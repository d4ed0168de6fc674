//! What every process needs, whatever its work: the way from the command line to the exit code, settings, clocks,
//! health, HTTP listeners, metrics, logs and traces, startup and a graceful stop.

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
