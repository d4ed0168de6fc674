//! Logs and traces. What is logged never holds a secret, a phone number or a message's text.

pub mod lines;
pub mod metrics;
pub mod trace;

use std::io::IsTerminal as _;

use tracing::Dispatch;
use tracing_subscriber::filter::{FilterExt as _, dynamic_filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config;
pub use trace::provider::Guard;

/// Starts logging and, when an endpoint is set, tracing. Call it once, in `main`.
///
/// # Errors
/// When the OTLP exporter can't be built from its endpoint.
pub fn init(service: &'static str, config: &config::Telemetry) -> anyhow::Result<Guard> {
    let (dispatch, guard) = dispatch(service, config)?;
    dispatch.try_init()?;
    Ok(guard)
}

/// What [`init`] starts, for one thread of a test instead of the whole process.
///
/// # Errors
/// As [`init`].
pub fn dispatch(service: &'static str, config: &config::Telemetry) -> anyhow::Result<(Dispatch, Guard)> {
    dispatch_to(service, config, std::io::stdout)
}

/// As [`dispatch`], with the lines written there.
///
/// # Errors
/// As [`init`].
pub fn dispatch_to<W>(service: &'static str, config: &config::Telemetry, writer: W) -> anyhow::Result<(Dispatch, Guard)>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.log)?;
    // traces are told to the collector; what their library says about it we say ourselves, once per outage
    // dynamic, so that each line is asked for: where a place's interest is settled for good, a question in between that asked
    // and wrote nothing (sqlx's, with each query) has the next line of its thread thrown away
    let told = dynamic_filter_fn(|of, _| {
        lines::is_allowed(of) && of.target() != trace::TARGET && !of.target().starts_with("opentelemetry")
    });
    let lines = lines::layer(&config.log_format, std::io::stdout().is_terminal(), writer);
    let (mut layers, guard) = trace::provider::layers(service, config)?;
    layers.push(lines.with_filter(filter.and(told)).boxed());
    Ok((tracing_subscriber::registry().with(layers).into(), guard))
}
