//! The settings and commands of the scheduler: flag, variable, default and meaning of each.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use process::config;
use process::probe::Probe;

/// The name of the binary for people, logs and traces.
pub const NAME: &str = "switchboard-scheduler";

/// Fires reminders and rings again for rows that wait. Any number of schedulers may run; none of them leads
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
    /// If it is wrong, or asks for help.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        config::read(args, "schedule")
    }
}

/// What the binary does.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Run the duties (the default)
    Schedule(Box<Config>),
    /// Ask the scheduler on this host for its health; exits with 0 (well) or 1
    Probe {
        /// What to ask
        #[command(flatten)]
        probe: Probe,
        /// The address of health and metrics
        #[command(flatten)]
        ops: Ops,
    },
}

/// The port for orchestrators and Prometheus.
#[derive(clap::Args, Clone, Debug)]
pub struct Ops {
    /// Address of /livez, /readyz and /metrics
    #[arg(id = "ops_listen", long = "ops-listen", env = "OPS_LISTEN", default_value = "0.0.0.0:9092")]
    pub listen: SocketAddr,
}

/// The settings of `schedule`.
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
    /// Days that events are kept, 4 to 3,650. That is more than the three days after which a failing webhook is
    /// disabled and its tenant is told
    #[arg(long, env = "EVENTS_KEPT_DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(4..=3_650))]
    pub events_kept_days: u64,
    /// Days that runs are kept after their end, and notifications after they were written, 1 to 3,650
    #[arg(long, env = "RUNS_KEPT_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=3_650))]
    pub runs_kept_days: u64,
    /// Days that messages are kept after they were accepted, 1 to 3,650; waiting messages stay. A tenant may have fewer
    /// days
    #[arg(long, env = "MESSAGES_KEPT_DAYS", default_value_t = 90, value_parser = clap::value_parser!(i32).range(1..=3_650))]
    pub messages_kept_days: i32,
    /// Days that the audit trail is kept, 1 to 3,650. A tenant may have fewer days
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
