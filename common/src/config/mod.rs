//! Sections of configuration that several binaries share. Flag, variable, default and meaning stand on one line each;
//! `--help` is the manual.

mod read;

pub use read::{FILE_SUFFIX, read, secret_variable};

/// Where the rows are.
#[derive(clap::Args, Clone)]
pub struct Database {
    /// Postgres, e.g. postgres://user:password@host/switchboard
    #[arg(id = "database_url", long = "database-url", env = "DATABASE_URL", hide_env_values = true)]
    pub url: String,
    /// Connections this process may hold
    #[arg(long = "database-connections", env = "DATABASE_CONNECTIONS", default_value_t = 16)]
    pub max_connections: u32,
}

/// Where the bells, leases and live signals are.
#[derive(clap::Args, Clone)]
pub struct Redis {
    /// Redis, e.g. redis://host:6379
    #[arg(id = "redis_url", long = "redis-url", env = "REDIS_URL", hide_env_values = true)]
    pub url: String,
    /// Every key and channel starts with this
    #[arg(long = "redis-prefix", env = "REDIS_PREFIX", default_value = "switchboard:")]
    pub prefix: String,
}

/// Where webhooks may lead, beyond https on the public internet.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Webhooks {
    /// Networks of your own that webhooks may reach, apart by commas, e.g. 10.1.0.0/16,fd00::/8; none if not given
    #[arg(long = "webhook-allow-private", env = "WEBHOOK_ALLOW_PRIVATE", value_delimiter = ',')]
    pub allow_private: Vec<ipnet::IpNet>,
    /// Webhooks may use http without TLS
    #[arg(long = "webhook-allow-http", env = "WEBHOOK_ALLOW_HTTP", default_value_t = false)]
    pub allow_http: bool,
}

/// How the process talks about itself.
#[derive(clap::Args, Clone, Debug)]
pub struct Telemetry {
    /// Log lines as `text` or `json`; their level comes from RUST_LOG
    #[arg(long, env = "LOG_FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub log_format: String,
    /// OTLP over HTTP, e.g. http://collector:4318; traces are sent only when it is set
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("max_connections", &self.max_connections).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
