//! Logs, traces and metrics. A log line never contains a secret, a phone number or a message's text.

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

/// Starts logging and, if an endpoint is set, tracing. Call it once, in `main`.
///
/// # Errors
/// If the OTLP exporter cannot be built from its endpoint.
pub fn init(service: &'static str, config: &config::Telemetry) -> anyhow::Result<Guard> {
    let (dispatch, guard) = dispatch(service, config)?;
    dispatch.try_init()?;
    Ok(guard)
}

/// Builds what [`init`] starts, for one thread of a test instead of the whole process.
///
/// # Errors
/// As [`init`].
pub fn dispatch(service: &'static str, config: &config::Telemetry) -> anyhow::Result<(Dispatch, Guard)> {
    dispatch_to(service, config, std::io::stdout)
}

/// As [`dispatch`], with a writer for the log lines.
///
/// # Errors
/// As [`init`].
pub fn dispatch_to<W>(service: &'static str, config: &config::Telemetry, writer: W) -> anyhow::Result<(Dispatch, Guard)>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.log)?;
    // Spans are not logged, and neither are messages of their library: the exporter itself logs an outage, once.
    // The filter is dynamic, so that each line is checked. With cached interest, a check that writes nothing (as sqlx
    // makes with each query) would discard the next line of its thread.
    let told = dynamic_filter_fn(|of, _| {
        lines::is_allowed(of) && of.target() != trace::TARGET && !of.target().starts_with("opentelemetry")
    });
    let lines = lines::layer(&config.log_format, std::io::stdout().is_terminal(), writer);
    let (mut layers, guard) = trace::provider::layers(service, config)?;
    layers.push(lines.with_filter(filter.and(told)).boxed());
    Ok((tracing_subscriber::registry().with(layers).into(), guard))
}
