//! Logs and traces. What is logged never holds a secret, a phone number or a message's text.

pub mod metrics;

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::config;

/// What is logged when RUST_LOG is not set: our own words, and only the warnings of others.
const DEFAULT_FILTER: &str = "warn,api=info,worker=info,scheduler=info,common=info,switchboard_api=info,switchboard_worker=info,switchboard_scheduler=info";

/// Flushes what is still to be exported when the process ends.
#[must_use = "dropping it stops the export of traces"]
pub struct Guard(Option<SdkTracerProvider>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown()
        {
            tracing::debug!(%error, "the last traces were not exported");
        }
    }
}

/// Starts logging and, when an endpoint is set, tracing. Call it once, in `main`.
///
/// # Errors
/// When the OTLP exporter can't be built from its endpoint.
pub fn init(service: &'static str, config: &config::Telemetry) -> anyhow::Result<Guard> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let provider = match &config.otlp_endpoint {
        Some(endpoint) => Some(tracer_provider(service, endpoint)?),
        None => None,
    };
    let traces = provider.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(service)));
    let lines = if config.log_format == "json" {
        fmt::layer().json().flatten_event(true).boxed()
    } else {
        fmt::layer().compact().with_ansi(std::io::stdout().is_terminal()).boxed()
    };
    tracing_subscriber::registry().with(filter).with(traces).with(lines).try_init()?;
    Ok(Guard(provider))
}

fn tracer_provider(service: &'static str, endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name(service).build())
        .build())
}
