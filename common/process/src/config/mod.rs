//! Sections of configuration that several binaries share: flag, variable, default and meaning of each setting. `--help`
//! is the manual.

use std::path::{Path, PathBuf};

use domain::webhook::address::Rules;
use schedule::zone;

pub mod parse;
mod read;
mod refusal;
mod secret;

pub use read::read;
pub use refusal::report;
pub use secret::{FILE_SUFFIX, secret_variable};

/// The settings of Postgres, which holds the rows.
#[derive(clap::Args, Clone)]
pub struct Database {
    /// Postgres, e.g. postgres://user:password@host/switchboard; with TLS:
    /// ?sslmode=verify-full&sslrootcert=/path/ca.crt
    #[arg(id = "database_url", long = "database-url", env = "DATABASE_URL", hide_env_values = true, value_parser = parse::postgres_url)]
    pub url: String,
    /// Connections to Postgres that this process may hold in total, 4 to 1,000
    #[arg(long = "database-connections", env = "DATABASE_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(4..=1_000))]
    pub max_connections: u32,
}

/// The settings of Redis, which holds bells, leases and live signals.
#[derive(clap::Args, Clone)]
pub struct Redis {
    /// Redis, e.g. redis://:password@host:6379; with TLS: rediss://
    #[arg(id = "redis_url", long = "redis-url", env = "REDIS_URL", hide_env_values = true, value_parser = parse::redis_url)]
    pub url: String,
    /// The beginning of every key and channel
    #[arg(long = "redis-prefix", env = "REDIS_PREFIX", default_value = "switchboard:", value_parser = parse::key_prefix)]
    pub prefix: String,
}

/// The zone data that reminders use.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Zones {
    /// A folder of compiled IANA zones, used if it is newer than the built-in data; if not given, the system's folder
    #[arg(id = "tzdir", long = "tzdir", env = "TZDIR", value_parser = zones)]
    pub folder: Option<PathBuf>,
}

fn zones(folder: &str) -> Result<PathBuf, zone::Unusable> {
    zone::Data::choose(Path::new(folder)).map(|_| PathBuf::from(folder))
}

/// The addresses that webhooks may have, beyond https on the public internet.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Webhooks {
    /// Networks of your own that webhooks may reach, separated by commas, e.g. 10.1.0.0/16,fd00::/8; if not given, none
    #[arg(long = "webhook-allow-private", env = "WEBHOOK_ALLOW_PRIVATE", value_delimiter = ',')]
    pub allow_private: Vec<ipnet::IpNet>,
    /// Webhooks may use http without TLS
    #[arg(long = "webhook-allow-http", env = "WEBHOOK_ALLOW_HTTP", default_value_t = false)]
    pub allow_http: bool,
}

impl Webhooks {
    /// The settings as the domain's rules for webhook addresses.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules { allow_private: self.allow_private.clone(), allow_http: self.allow_http }
    }
}

/// The default log filter. Of other projects' crates only warnings are logged, whatever the filter says.
pub const DEFAULT_LOG: &str = "info";

/// The settings of logs and traces.
#[derive(clap::Args, Clone, Debug)]
pub struct Telemetry {
    /// What is logged, e.g. info or warn,worker=debug; if not given, info. Of libraries only warnings and errors are
    /// logged
    #[arg(long = "log", env = "RUST_LOG", default_value = DEFAULT_LOG, hide_default_value = true, value_parser = parse::log_filter)]
    pub log: String,
    /// The form of log lines: `text` or `json`
    #[arg(long, env = "LOG_FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub log_format: String,
    /// Where traces are sent with OTLP over HTTP, e.g. http://collector:4318; if not given, none are sent
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_parser = parse::http_url)]
    pub otlp_endpoint: Option<String>,
    /// Share of the traces that begin here and are kept, 0 to 1; failures are always sent
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value_t = 1.0, value_parser = share)]
    pub traces_sampler_arg: f64,
    /// How a step continues the trace of a message that was made elsewhere: with a `link`, or as a `child` in one long
    /// trace
    #[arg(long, env = "TRACE_PARENT", value_enum, default_value_t = TraceParent::Link)]
    pub trace_parent: TraceParent,
    /// The highest number of spans that wait for the collector, 1 to 1,000,000; further spans are dropped
    #[arg(id = "traces_waiting_max", long = "traces-waiting-max", env = "OTEL_BSP_MAX_QUEUE_SIZE", default_value_t = 2_048, value_parser = waiting)]
    pub traces_waiting_max: usize,
}

impl Default for Telemetry {
    /// The values without any setting.
    fn default() -> Self {
        Self {
            log: DEFAULT_LOG.to_owned(),
            log_format: "text".to_owned(),
            otlp_endpoint: None,
            traces_sampler_arg: 1.0,
            trace_parent: TraceParent::Link,
            traces_waiting_max: 2_048,
        }
    }
}

/// How a step continues the trace of a message that was made elsewhere.
#[derive(clap::ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TraceParent {
    /// The step begins a trace of its own, with a link to the step that made the message.
    #[default]
    Link,
    /// A step that is about one message is a part of the trace in which the message was made.
    Child,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("must lie between 0 and 1".to_owned()) }
}

fn waiting(text: &str) -> Result<usize, String> {
    let spans: usize = text.parse().map_err(|_| "not a number".to_owned())?;
    if (1..=1_000_000).contains(&spans) { Ok(spans) } else { Err("must lie between 1 and 1000000".to_owned()) }
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser, Debug)]
    struct Cli {
        #[command(flatten)]
        telemetry: Telemetry,
    }

    /// R06: a share of traces outside of 0 to 1, or an unknown trace parent, is refused with the name of its setting.
    #[test]
    fn settings_of_traces_are_checked() {
        let read = |args: &[&str]| Cli::try_parse_from(["test"].iter().chain(args)).map(|cli| cli.telemetry);
        let settings = read(&["--traces-sampler-arg", "0.25", "--trace-parent", "child"]).unwrap();
        assert_eq!((settings.traces_sampler_arg, settings.trace_parent), (0.25, TraceParent::Child));
        for (flag, values) in [
            ("--traces-sampler-arg", ["1.5", "-0.1", "NaN", "half"].as_slice()),
            ("--trace-parent", &["parent", ""]),
            ("--traces-waiting-max", &["0", "many"]),
        ] {
            for value in values {
                let says = read(&[&format!("{flag}={value}")]).unwrap_err().to_string();
                assert!(says.contains(flag), "{says}");
            }
        }
    }
}
