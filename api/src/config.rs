//! What the api can be told: by flag or by variable, with a meaning and, where there is one, a default.

use std::ffi::OsString;
use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};
use common::config::{Database, Redis, Telemetry, Webhooks};
use common::id::{ApiKeyId, TenantId};
use common::probe::Probe;

/// The REST API of Switchboard; without a command it serves
#[derive(Debug, Parser)]
#[command(name = "switchboard-api", version)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads a command line. One that names no command means `serve`.
    ///
    /// # Errors
    /// When it is wrong, or asks for help.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        common::config::read(args, "serve")
    }
}

/// What the binary does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API (the default)
    Serve(Box<Config>),
    /// Bring the database's schema up to date, and end
    Migrate {
        /// Which database
        #[command(flatten)]
        database: Database,
    },
    /// Create, list and revoke keys
    Keys {
        /// What to do with keys
        #[command(subcommand)]
        command: Keys,
    },
    /// Print the OpenAPI document
    Openapi,
    /// Ask the api that runs beside this how it is, and end: 0 well, 1 not
    Probe {
        /// What to ask
        #[command(flatten)]
        probe: Probe,
        /// Where it serves health and metrics
        #[command(flatten)]
        ops: Ops,
    },
}

/// Work on keys without a key: for the first admin, and for emergencies.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Create a key; standard output is the key and nothing else, and it is shown this once
    Create {
        /// Which database
        #[command(flatten)]
        database: Database,
        /// A key that manages tenants and keys
        #[arg(long, conflicts_with = "tenant", required_unless_present = "tenant")]
        admin: bool,
        /// A key that acts for this tenant
        #[arg(long)]
        tenant: Option<TenantId>,
        /// What people call it
        #[arg(long)]
        name: String,
    },
    /// List all keys, without their secrets
    List {
        /// Which database
        #[command(flatten)]
        database: Database,
    },
    /// Revoke a key by its id
    Revoke {
        /// Which database
        #[command(flatten)]
        database: Database,
        /// The key's id, as `keys list` shows it
        id: ApiKeyId,
    },
}

/// How to serve.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Address to listen on, for tenants
    #[arg(long, env = "API_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Health and metrics
    #[command(flatten)]
    pub ops: Ops,
    /// The rows
    #[command(flatten)]
    pub database: Database,
    /// The bells
    #[command(flatten)]
    pub redis: Redis,
    /// The logs
    #[command(flatten)]
    pub telemetry: Telemetry,
    /// Where webhooks may lead
    #[command(flatten)]
    pub webhooks: Webhooks,
}

/// The port for orchestrators and Prometheus.
#[derive(Debug, Clone, Args)]
pub struct Ops {
    /// Where /livez, /readyz and /metrics are served, apart from tenants
    #[arg(id = "ops_listen", long = "ops-listen", env = "OPS_LISTEN", default_value = "0.0.0.0:9090")]
    pub listen: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Cli, clap::Error> {
        let databases = ["--database-url", "postgres://x"];
        let more = if args.first() == Some(&"migrate") { &databases[..] } else { &[] };
        Cli::read(["switchboard-api"].iter().chain(args).chain(more).map(OsString::from))
    }

    #[test]
    fn without_a_command_it_serves() {
        let flags = ["--database-url", "postgres://x", "--redis-url", "redis://x", "--listen", "127.0.0.1:1"];
        let Ok(Cli { command: Command::Serve(config) }) = read(&flags) else { panic!("does not serve") };
        assert_eq!(config.listen.port(), 1);
        assert!(matches!(read(&["migrate"]), Ok(Cli { command: Command::Migrate { .. } })));
        assert!(read(&["--help"]).is_err_and(|error| !error.use_stderr()));
        assert!(read(&["nonsense"]).is_err_and(|error| error.use_stderr()));
    }

    #[test]
    fn a_key_is_either_an_admins_or_a_tenants() {
        let base = ["keys", "create", "--database-url", "postgres://x", "--name", "n"];
        let tenant = ["--tenant", "0199c0de-0000-7000-8000-000000000000"];
        assert!(read(&base).is_err());
        assert!(read(&[&base[..], &["--admin"]].concat()).is_ok());
        assert!(read(&[&base[..], &tenant[..]].concat()).is_ok());
        assert!(read(&[&base[..], &["--admin"], &tenant[..]].concat()).is_err());
    }
}
