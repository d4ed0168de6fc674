//! The scheduler's configuration: flag, variable, default and meaning on one line each.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use process::config;
use process::probe::Probe;

/// What people, logs and traces call the binary.
pub const NAME: &str = "switchboard-scheduler";

/// Fires reminders and rings again for rows that wait. Run as many as you like: none of them leads
#[derive(clap::Parser, Debug)]
#[command(name = NAME, version)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads a command line. One that names no command means `schedule`.
    ///
    /// # Errors
    /// When it is wrong, or asks for help.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        config::read(args, "schedule")
    }
}

/// What the binary does.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Do what the clock calls for (the default)
    Schedule(Box<Config>),
    /// Ask the scheduler that runs beside this how it is, and end: 0 well, 1 not
    Probe {
        /// What to ask
        #[command(flatten)]
        probe: Probe,
        /// Where it serves health and metrics
        #[command(flatten)]
        ops: Ops,
    },
}

/// The port for orchestrators and Prometheus.
#[derive(clap::Args, Clone, Debug)]
pub struct Ops {
    /// Where /livez, /readyz and /metrics are served
    #[arg(id = "ops_listen", long = "ops-listen", env = "OPS_LISTEN", default_value = "0.0.0.0:9092")]
    pub listen: SocketAddr,
}

/// How to schedule.
#[derive(clap::Args, Clone, Debug)]
pub struct Config {
    /// The rows
    #[command(flatten)]
    pub database: config::Database,
    /// The bells
    #[command(flatten)]
    pub redis: config::Redis,
    /// The logs
    #[command(flatten)]
    pub telemetry: config::Telemetry,
    /// The clocks
    #[command(flatten)]
    pub zones: config::Zones,
    /// Health and metrics
    #[command(flatten)]
    pub ops: Ops,
    /// Seconds that a row waits before its bell is rung again, 1 to 3,600
    #[arg(long, env = "RING_AGAIN_S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub ring_again_s: u64,
    /// Days that events are kept, 4 to 3,650: more than the three after which a webhook that fails is disabled, and its tenant told
    #[arg(long, env = "EVENTS_KEPT_DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(4..=3_650))]
    pub events_kept_days: u64,
    /// Days that runs are kept after their end, and notifications after they were written, 1 to 3,650
    #[arg(long, env = "RUNS_KEPT_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=3_650))]
    pub runs_kept_days: u64,
    /// Days that messages are kept after they were accepted, 1 to 3,650; those that wait are kept. A tenant may have less
    #[arg(long, env = "MESSAGES_KEPT_DAYS", default_value_t = 90, value_parser = clap::value_parser!(i32).range(1..=3_650))]
    pub messages_kept_days: i32,
    /// Days that the audit trail is kept, 1 to 3,650. A tenant may have less
    #[arg(long, env = "AUDIT_KEPT_DAYS", default_value_t = 365, value_parser = clap::value_parser!(i32).range(1..=3_650))]
    pub audit_kept_days: i32,
}

impl Config {
    /// How long a row waits before its bell is rung again.
    #[must_use]
    pub fn ring_again(&self) -> Duration {
        Duration::from_secs(self.ring_again_s)
    }

    /// How long events are kept.
    #[must_use]
    pub fn events_kept(&self) -> Duration {
        Duration::from_secs(self.events_kept_days * 24 * 60 * 60)
    }

    /// How long runs and notifications are kept.
    #[must_use]
    pub fn runs_kept(&self) -> Duration {
        Duration::from_secs(self.runs_kept_days * 24 * 60 * 60)
    }
}
