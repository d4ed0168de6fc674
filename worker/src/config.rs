//! The worker's configuration: flag, variable, default and meaning on one line each.

use std::net::SocketAddr;
use std::time::Duration;

use common::config;

/// A worker holds the WhatsApp connections of the accounts that it has claimed.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "switchboard-worker", version)]
pub struct Config {
    #[command(flatten)]
    pub database: config::Database,
    #[command(flatten)]
    pub redis: config::Redis,
    #[command(flatten)]
    pub telemetry: config::Telemetry,
    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "WORKER_LISTEN", default_value = "0.0.0.0:9091")]
    pub listen: SocketAddr,
    /// Keys that seal credentials: `ID:BASE64_OF_32_BYTES[,ID:…]`; the first one seals, each can open
    #[arg(long, env = "CREDENTIAL_KEYS", hide_env_values = true)]
    pub credential_keys: Secret,
    /// WhatsApp's address
    #[arg(long, env = "WHATSAPP_URL", default_value = "wss://web.whatsapp.com/ws/chat")]
    pub whatsapp_url: String,
    /// WhatsApp Web version to report, e.g. 2.3000.1023223821; without one the current version is fetched
    #[arg(long, env = "WHATSAPP_VERSION")]
    pub whatsapp_version: Option<String>,
    /// A build for the simulator may talk to a public address
    #[arg(long, env = "ALLOW_PUBLIC_SIMULATOR", default_value_t = false)]
    pub allow_public_simulator: bool,
    /// Accounts that this worker holds at most
    #[arg(long, env = "WORKER_CAPACITY", default_value_t = 5_000)]
    pub capacity: u32,
    /// What this worker was rolled out with: while workers of several releases run, those of the newest take the accounts
    #[arg(long, env = "WORKER_RELEASE", default_value = env!("CARGO_PKG_VERSION"))]
    pub release: String,
    /// Accounts per second that the whole cluster brings back online, e.g. after an outage; 0: as fast as it can
    #[arg(long, env = "CONNECTS_PER_S", default_value_t = 100)]
    pub connects_per_s: u32,
    /// Milliseconds that a lease lives without a renewal
    #[arg(long, env = "LEASE_TTL_MS", default_value_t = 15_000)]
    pub lease_ttl_ms: u64,
    /// One-time keys that an account keeps at WhatsApp
    #[arg(long, env = "PRE_KEYS", default_value_t = 100)]
    pub pre_keys: usize,
    /// Seconds that a graceful stop may take
    #[arg(long, env = "STOP_TIMEOUT_S", default_value_t = 25)]
    pub stop_timeout_s: u64,
}

impl Config {
    /// How long a lease lives without a renewal.
    #[must_use]
    pub fn lease_ttl(&self) -> Duration {
        Duration::from_millis(self.lease_ttl_ms)
    }

    /// How long a graceful stop may take.
    #[must_use]
    pub fn stop_timeout(&self) -> Duration {
        Duration::from_secs(self.stop_timeout_s)
    }
}

/// A text that is never printed.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
