//! What each process of the house needs, whatever its work: settings, clocks, health, doors, metrics, logs and traces, a start
//! and a graceful stop.

pub mod clock;
pub mod config;
pub mod doctor;
pub mod door;
pub mod host;
pub mod ops;
pub mod probe;
pub mod shutdown;
pub mod startup;
pub mod telemetry;
pub mod trouble;
