//! The settings and commands of the worker: flag, variable, default and meaning of each.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use clap::CommandFactory as _;
use process::config;
use process::probe::Probe;

use crate::link::whatsapp::address;
use crate::link::whatsapp::version::{MalformedVersion, WebVersion};

/// The name of the binary for people, logs and traces.
pub const NAME: &str = "switchboard-worker";

/// Holds the WhatsApp connections of the accounts that it has claimed
#[derive(clap::Parser, Debug)]
#[command(name = NAME, version)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads a command line. One that names no command means `work`.
    ///
    /// # Errors
    /// If it is wrong, or asks for help.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let cli: Self = config::read(args, "work")?;
        if let Command::Work(config) = &cli.command
            && let Err(refused) = address::check_url(&config.whatsapp_url, config.allow_public_simulator)
        {
            let says = format!("WHATSAPP_URL (or --whatsapp-url): {refused} (ALLOW_PUBLIC_SIMULATOR=true)");
            return Err(Self::command().error(clap::error::ErrorKind::ValueValidation, says));
        }
        Ok(cli)
    }
}

/// What the binary does.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Work (the default)
    Work(Box<Config>),
    /// Manage the keys that seal credentials
    Keys {
        /// What to do with keys
        #[command(subcommand)]
        command: Keys,
    },
    /// Check everything that a worker depends on, and say how to solve problems; exits with 0 (well, or warnings) or 1
    Doctor(Box<Doctor>),
    /// Ask the worker on this host for its health; exits with 0 (well) or 1
    Probe {
        /// What to ask
        #[command(flatten)]
        probe: Probe,
        /// The address of health and metrics
        #[command(flatten)]
        ops: Ops,
    },
}

/// What `doctor` checks.
#[derive(clap::Args, Clone, Debug)]
pub struct Doctor {
    #[command(flatten)]
    pub database: config::Database,
    #[command(flatten)]
    pub redis: config::Redis,
    /// Keys that seal credentials: `ID:BASE64_OF_32_BYTES[,ID:…]`; the first one seals, and each can open
    #[arg(long, env = "CREDENTIAL_KEYS", hide_env_values = true, value_parser = credential_keys)]
    pub credential_keys: Secret,
    /// The address of WhatsApp
    #[arg(long, env = "WHATSAPP_URL", default_value = "wss://web.whatsapp.com/ws/chat", value_parser = whatsapp_url)]
    pub whatsapp_url: String,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// The port for orchestrators and Prometheus.
#[derive(clap::Args, Clone, Debug)]
pub struct Ops {
    /// Address of /livez, /readyz and /metrics
    #[arg(id = "ops_listen", long = "ops-listen", env = "OPS_LISTEN", default_value = "0.0.0.0:9091")]
    pub listen: SocketAddr,
}

/// What to do with keys.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum Keys {
    /// Seal all records that are not sealed under the first key of CREDENTIAL_KEYS under that key, while workers run
    Rotate {
        #[command(flatten)]
        stores: KeyStores,
        /// Records that are sealed in one step, 1 to 65,535
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..))]
        batch: u16,
    },
    /// List the keys under which records are sealed: the number of records, and whether the key is configured and opens
    /// them
    List {
        #[command(flatten)]
        stores: KeyStores,
    },
}

/// What the commands for keys need.
#[derive(clap::Args, Clone, Debug)]
pub struct KeyStores {
    #[command(flatten)]
    pub database: config::Database,
    /// Keys that seal credentials: `ID:BASE64_OF_32_BYTES[,ID:…]`; the first one seals, and each can open
    #[arg(long, env = "CREDENTIAL_KEYS", hide_env_values = true, value_parser = credential_keys)]
    pub credential_keys: Secret,
}

/// The settings of `work`.
#[derive(clap::Args, Clone, Debug)]
pub struct Config {
    #[command(flatten)]
    pub database: config::Database,
    #[command(flatten)]
    pub redis: config::Redis,
    #[command(flatten)]
    pub telemetry: config::Telemetry,
    /// The clocks
    #[command(flatten)]
    pub zones: config::Zones,
    #[command(flatten)]
    pub webhooks: config::Webhooks,
    #[command(flatten)]
    pub ops: Ops,
    /// Keys that seal credentials: `ID:BASE64_OF_32_BYTES[,ID:…]`; the first one seals, and each can open
    #[arg(long, env = "CREDENTIAL_KEYS", hide_env_values = true, value_parser = credential_keys)]
    pub credential_keys: Secret,
    /// The address of WhatsApp
    #[arg(long, env = "WHATSAPP_URL", default_value = "wss://web.whatsapp.com/ws/chat", value_parser = whatsapp_url)]
    pub whatsapp_url: String,
    /// WhatsApp Web version to report, e.g. 2.3000.1023223821; if not given, the current version is fetched
    #[arg(long, env = "WHATSAPP_VERSION", value_parser = whatsapp_version)]
    pub whatsapp_version: Option<String>,
    /// Allow a build for the simulator to connect to a public address
    #[arg(long, env = "ALLOW_PUBLIC_SIMULATOR", default_value_t = false)]
    pub allow_public_simulator: bool,
    /// The highest number of accounts that this worker holds, 1 to 1,000,000
    #[arg(long, env = "WORKER_CAPACITY", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub capacity: u32,
    /// The name of this worker: the same when it starts again in its place, and its own among all workers. A worker that
    /// has crashed then takes its accounts back at once, if DATABASE_CONNECTIONS is at least eight. If not given, it is the
    /// name of the host
    #[arg(long, env = "WORKER_NAME", value_parser = config::parse::word)]
    pub name: Option<String>,
    /// The release of this worker. While workers of several releases run, those of the newest release take the accounts
    #[arg(long, env = "WORKER_RELEASE", default_value = env!("CARGO_PKG_VERSION"), value_parser = config::parse::word)]
    pub release: String,
    /// Accounts per second that the whole cluster brings back online, e.g. after an outage, 0 to 100,000; 0 means no
    /// limit
    #[arg(long, env = "CONNECTS_PER_S", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub connects_per_s: u32,
    /// Milliseconds that a lease lives without a renewal, 1,500 to 300,000, equal on all workers. It is renewed every
    /// third of that time, so a shorter time leaves no room for a slow answer. The accounts of a killed worker are
    /// offline for this long
    #[arg(long, env = "LEASE_TTL_MS", default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(1_500..=300_000))]
    pub lease_ttl_ms: u64,
    /// One-time keys that an account stores at WhatsApp, 5 to 1,000
    #[arg(long, env = "PRE_KEYS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(5..=1_000))]
    pub pre_keys: u32,
    /// Seconds by which this process's wall clock is wrong, for fault campaigns
    #[cfg(feature = "simulator")]
    #[arg(long, env = "CLOCK_SKEW_S", default_value_t = 0, allow_negative_numbers = true, hide = true)]
    pub clock_skew_s: i64,
    /// Seconds for which an account sends nothing after WhatsApp's reach-out time-lock (463), 1 to 86,400
    #[arg(long, env = "REACHOUT_HOLD_S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub reachout_hold_s: u64,
    /// Seconds that a graceful stop may take, 6 to 3,600. Five of them are reserved for the work after the sessions
    /// have ended
    #[arg(long, env = "STOP_TIMEOUT_S", default_value_t = 25, value_parser = clap::value_parser!(u64).range(6..=3_600))]
    pub stop_timeout_s: u64,
}

/// The most connections to Postgres that each part of a worker may hold. Together they are what the process may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// The lock on the worker's name; none if there are few connections.
    pub name: u32,
    /// The heartbeat, which waits for nothing else.
    pub keeping: u32,
    /// Credentials, which the client library reads and writes in the middle of its work.
    pub credentials: u32,
    /// What the sessions write and read together: results, receipts, received messages, outboxes.
    pub sessions: u32,
    /// All other rows.
    pub rows: u32,
}

impl Shares {
    /// Divides `all` connections, which are at least four.
    #[must_use]
    pub const fn of(all: u32) -> Self {
        let (name, keeping) = if all < 8 { (0, 1) } else { (1, 2) };
        let credentials = (all - name - keeping) / 2;
        let rest = all - name - keeping - credentials;
        let sessions = rest / 2;
        Self { name, keeping, credentials, sessions, rows: rest - sessions }
    }
}

impl Config {
    /// The name of the worker.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(process::host::name)
    }

    /// The name, if the worker locks it: there are enough connections, and the host has a name.
    #[must_use]
    pub fn locked_name(&self) -> Option<String> {
        let name = self.name();
        (self.connections().name > 0 && name != process::host::UNKNOWN).then_some(name)
    }

    /// The connections to Postgres that each part may hold.
    #[must_use]
    pub fn connections(&self) -> Shares {
        Shares::of(self.database.max_connections)
    }

    /// How long a lease lives without a renewal.
    #[must_use]
    pub fn lease_ttl(&self) -> Duration {
        Duration::from_millis(self.lease_ttl_ms)
    }

    /// How long an account sends nothing after WhatsApp's reach-out time-lock.
    #[must_use]
    pub fn reachout_hold(&self) -> Duration {
        Duration::from_secs(self.reachout_hold_s)
    }

    /// How long a graceful stop may take.
    #[must_use]
    pub fn stop_timeout(&self) -> Duration {
        Duration::from_secs(self.stop_timeout_s)
    }
}

fn credential_keys(text: &str) -> Result<Secret, store::seal::KeyError> {
    store::seal::Sealer::parse(text).map(|_| Secret(text.to_owned()))
}

fn whatsapp_url(text: &str) -> Result<String, config::parse::Refused> {
    config::parse::url_of(text, &["wss", "ws"], "wss://web.whatsapp.com/ws/chat")
}

fn whatsapp_version(text: &str) -> Result<String, MalformedVersion> {
    WebVersion::parse(text).map(|_| text.to_owned())
}

/// A text that is never printed.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
