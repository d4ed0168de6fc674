//! The settings and commands of the api: flag, variable, default and meaning of each.

use std::ffi::OsString;
use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};
use domain::account::Status;
use domain::id::{AccountId, ApiKeyId, TenantId};
use process::config::{Database, Redis, Telemetry, Webhooks, Zones};
use process::probe::Probe;

/// The name of the binary for people, logs and traces.
pub const NAME: &str = "switchboard-api";

/// The REST API of Switchboard. Without a command it serves
#[derive(Debug, Parser)]
#[command(name = NAME, version)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads a command line. One that names no command means `serve`.
    ///
    /// # Errors
    /// If it is wrong, or asks for help.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        process::config::read(args, "serve")
    }
}

/// What the binary does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API (the default)
    Serve(Box<Config>),
    /// Bring the database's schema up to date, and say what was done
    Migrate(Migrate),
    /// Let events and streams continue after Postgres was restored or lost transactions; harmless at other times
    AfterRestore {
        /// Which database
        #[command(flatten)]
        database: Database,
    },
    /// Check everything that Switchboard depends on, and say how to solve problems; exits with 0 (well, or warnings) or
    /// 1
    Doctor(Doctor),
    /// Create, list and revoke keys
    Keys {
        /// What to do with keys
        #[command(subcommand)]
        command: Keys,
    },
    /// List and create tenants
    Tenants {
        /// What to do with tenants
        #[command(subcommand)]
        command: Tenants,
    },
    /// List accounts, and move one to another worker
    Accounts {
        /// What to do with accounts
        #[command(subcommand)]
        command: Accounts,
    },
    /// Show which worker has which account
    Leases {
        /// What to do with leases
        #[command(subcommand)]
        command: Leases,
    },
    /// Show the workers
    Workers {
        /// What to do with workers
        #[command(subcommand)]
        command: Workers,
    },
    /// Show what waits: bells in Redis, rows in Postgres
    Queues(Queues),
    /// Show events
    Events {
        /// What to do with events
        #[command(subcommand)]
        command: Events,
    },
    /// Print the OpenAPI document
    Openapi,
    /// Ask the api on this host for its health; exits with 0 (well) or 1
    Probe {
        /// What to ask
        #[command(flatten)]
        probe: Probe,
        /// The address of health and metrics
        #[command(flatten)]
        ops: Ops,
    },
}

/// The schema.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Which database
    #[command(flatten)]
    pub database: Database,
    /// Change nothing, but wait until the schema is at least this binary's; for init containers
    #[arg(long)]
    pub wait: bool,
    /// Seconds that `--wait` waits, 1 to 86,400; after that it exits with 1
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout_s: u64,
}

/// The database, and the form of the output.
#[derive(Debug, Args)]
pub struct Rows {
    /// Which database
    #[command(flatten)]
    pub database: Database,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// The stores, and the form of the output.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Which database
    #[command(flatten)]
    pub database: Database,
    /// Which Redis
    #[command(flatten)]
    pub redis: Redis,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// Commands for keys that need no key: for the first admin, and for emergencies.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Create a key; standard output is the key and nothing else, and the key is shown only once
    Create {
        /// Which database
        #[command(flatten)]
        rows: Rows,
        /// A key that manages tenants and keys
        #[arg(long, conflicts_with = "tenant", required_unless_present = "tenant")]
        admin: bool,
        /// A key that acts for this tenant
        #[arg(long)]
        tenant: Option<TenantId>,
        /// Its name
        #[arg(long)]
        name: String,
    },
    /// List all keys, without their secrets
    List {
        /// Which database
        #[command(flatten)]
        rows: Rows,
    },
    /// Revoke a key by its id
    Revoke {
        /// Which database
        #[command(flatten)]
        rows: Rows,
        /// The key's id, as `keys list` shows it
        id: ApiKeyId,
    },
}

/// Tenants.
#[derive(Debug, Subcommand)]
pub enum Tenants {
    /// List all tenants
    List {
        /// Which database
        #[command(flatten)]
        rows: Rows,
    },
    /// Create a tenant; it has no key yet (`keys create --tenant`)
    Create {
        /// Which database
        #[command(flatten)]
        rows: Rows,
        /// Its name
        #[arg(long)]
        name: String,
    },
}

/// The highest number of rows to show.
#[derive(Debug, Args)]
pub struct Limit {
    /// The highest number of rows to show, 1 to 100,000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    pub limit: i64,
}

/// Accounts.
#[derive(Debug, Subcommand)]
pub enum Accounts {
    /// List accounts, last changed first, without their numbers
    List {
        /// Which database
        #[command(flatten)]
        rows: Rows,
        /// Only of this tenant
        #[arg(long)]
        tenant: Option<TenantId>,
        /// Only with this status
        #[arg(long, value_parser = status)]
        status: Option<Status>,
        /// How many
        #[command(flatten)]
        limit: Limit,
    },
    /// Move an account to another worker: its owner closes the socket and gives the account back, and the other takes
    /// it
    Move {
        /// Which database
        #[command(flatten)]
        rows: Rows,
        /// The account's id
        account: AccountId,
        /// The worker that takes it, by id or host name; if not given, the one with the most room
        #[arg(long)]
        to: Option<String>,
    },
    /// Let an account be given back by its worker, so that the one with the most room takes it
    Release {
        /// Which database
        #[command(flatten)]
        rows: Rows,
        /// The account's id
        account: AccountId,
    },
}

/// Leases.
#[derive(Debug, Subcommand)]
pub enum Leases {
    /// List the accounts that workers hold, newest claims first, as in Postgres and in Redis
    List {
        /// Which stores
        #[command(flatten)]
        stores: Doctor,
        /// Only of this worker, by id or host name
        #[arg(long)]
        worker: Option<String>,
        /// How many
        #[command(flatten)]
        limit: Limit,
    },
}

/// Workers.
#[derive(Debug, Subcommand)]
pub enum Workers {
    /// List the workers that have not stopped
    List {
        /// Which database
        #[command(flatten)]
        rows: Rows,
    },
}

/// What waits.
#[derive(Debug, Args)]
pub struct Queues {
    /// Which stores
    #[command(flatten)]
    pub stores: Doctor,
}

/// Events.
#[derive(Debug, Subcommand)]
pub enum Events {
    /// Show the newest events, without their data, which may contain numbers and texts
    Tail {
        /// Which database
        #[command(flatten)]
        rows: Rows,
        /// Only of this tenant
        #[arg(long)]
        tenant: Option<TenantId>,
        /// Only of this kind, such as account.status_changed
        #[arg(long)]
        kind: Option<String>,
        /// Also show new events, until interrupted
        #[arg(long)]
        follow: bool,
        /// Also show their data, which contains numbers and texts of your tenants' messages
        #[arg(long)]
        data: bool,
        /// How many
        #[command(flatten)]
        limit: Limit,
    },
}

fn status(text: &str) -> Result<Status, String> {
    let all = Status::ALL.map(Status::as_str);
    Status::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| format!("one of {}", all.join(", ")))
}

/// The settings of `serve`.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Address at which tenants' requests are answered
    #[arg(long, env = "API_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Connections of tenants at the same time, including live streams, 16 to 1,000,000; never more than half of the
    /// files that the process may open
    #[arg(long, env = "API_CONNECTIONS", default_value_t = 8_192, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub connections: u32,
    /// Connections from one address, 16 to 1,000,000. Behind a proxy or an ingress all connections come from its
    /// addresses, because X-Forwarded-For is not trusted
    #[arg(long, env = "API_CONNECTIONS_PER_ADDRESS", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub connections_per_address: u32,
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
    /// The clocks
    #[command(flatten)]
    pub zones: Zones,
    /// Where webhooks may lead
    #[command(flatten)]
    pub webhooks: Webhooks,
    /// Address of the source code of these binaries, which /health shows to everybody; set it to yours if you changed
    /// them
    #[arg(long, env = "SOURCE_URL", default_value = env!("CARGO_PKG_REPOSITORY"), value_parser = source)]
    pub source_url: String,
}

/// The connections that accept messages. With two, a request that waits for a lock holds up no other. With more, fewer
/// requests would go out together, and each message would cost more (`docs/benchmarks.md`).
const ACCEPTING: u32 = 2;

/// The most connections to Postgres that each part of an api may hold. Together they are what the process may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Accepting messages, many at a time.
    pub accepting: u32,
    /// All other rows.
    pub rows: u32,
}

impl Config {
    /// The connections to Postgres that each part may hold.
    #[must_use]
    pub const fn connections(&self) -> Shares {
        Shares { accepting: ACCEPTING, rows: self.database.max_connections - ACCEPTING }
    }
}

/// An address that a browser can open.
fn source(text: &str) -> Result<String, String> {
    let url = text.parse::<axum::http::Uri>().map_err(|error| error.to_string())?;
    match url.scheme_str() {
        Some("http" | "https") => Ok(text.to_owned()),
        _ => Err("it begins with https:// or http://".to_owned()),
    }
}

/// The port for orchestrators and Prometheus.
#[derive(Debug, Clone, Args)]
pub struct Ops {
    /// Address of /livez, /readyz and /metrics, which are not for tenants
    #[arg(id = "ops_listen", long = "ops-listen", env = "OPS_LISTEN", default_value = "0.0.0.0:9090")]
    pub listen: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Cli, clap::Error> {
        let databases = ["--database-url", "postgres://x/y"];
        let more = if args.first() == Some(&"migrate") { &databases[..] } else { &[] };
        Cli::read(["switchboard-api"].iter().chain(args).chain(more).map(OsString::from))
    }

    #[test]
    fn without_a_command_it_serves() {
        let flags = ["--database-url", "postgres://x/y", "--redis-url", "redis://x", "--listen", "127.0.0.1:1"];
        let Ok(Cli { command: Command::Serve(config) }) = read(&flags) else { panic!("does not serve") };
        assert_eq!(config.listen.port(), 1);
        assert!(matches!(read(&["migrate"]), Ok(Cli { command: Command::Migrate(_) })));
        assert!(read(&["--help"]).is_err_and(|error| !error.use_stderr()));
        assert!(read(&["nonsense"]).is_err_and(|error| error.use_stderr()));
    }

    /// R89: the parts of a process hold no more connections together than the process may hold.
    #[test]
    fn connections_are_shared_out() {
        for all in [4, 16, 1_000] {
            let flags = ["--database-url", "postgres://x/y", "--redis-url", "redis://x", "--database-connections"];
            let Ok(Cli { command: Command::Serve(config) }) = read(&[&flags[..], &[&all.to_string()]].concat()) else {
                panic!("does not serve")
            };
            let Shares { accepting, rows } = config.connections();
            assert!(accepting == 2 && rows >= 2 && accepting + rows == all, "{accepting} + {rows}");
        }
    }

    #[test]
    fn a_key_is_either_an_admins_or_a_tenants() {
        let base = ["keys", "create", "--database-url", "postgres://x/y", "--name", "n"];
        let tenant = ["--tenant", "0199c0de-0000-7000-8000-000000000000"];
        assert!(read(&base).is_err());
        assert!(read(&[&base[..], &["--admin"]].concat()).is_ok());
        assert!(read(&[&base[..], &tenant[..]].concat()).is_ok());
        assert!(read(&[&base[..], &["--admin"], &tenant[..]].concat()).is_err());
    }
}
