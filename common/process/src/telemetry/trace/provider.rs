//! How spans reach the collector, and how this process identifies itself there.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tracing::Dispatch;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};
use uuid::Uuid;

use super::collector::Line;
use super::export::{Gate, Waiting, Watched};
use super::sampler::Stories;
use super::target::TARGET;
use crate::config::{Telemetry, TraceParent};

/// How long the end of the process waits for the last batch.
const LAST_MAX: Duration = Duration::from_secs(2);

/// Sends the spans that are still waiting when the process ends.
#[must_use = "dropping it stops the export of traces"]
pub struct Guard(Option<SdkTracerProvider>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown_with_timeout(LAST_MAX)
        {
            tracing::debug!(%error, "the last traces were not exported");
        }
    }
}

/// Carries the parent setting in the subscriber, where steps find it.
struct Parent(TraceParent);

impl Layer<Registry> for Parent {}

/// How steps of this subscriber continue the trace of a message that was created elsewhere.
pub(super) fn parent(dispatch: &Dispatch) -> TraceParent {
    dispatch.downcast_ref::<Parent>().map_or_else(TraceParent::default, |parent| parent.0)
}

/// Whether steps of this subscriber are exported.
pub(super) fn exports(dispatch: &Dispatch) -> bool {
    dispatch.downcast_ref::<Parent>().is_some()
}

type Layers = Vec<Box<dyn Layer<Registry> + Send + Sync>>;

/// The layers that export the spans of [`TARGET`] and no others. Empty without an endpoint.
///
/// # Errors
/// If the exporter cannot be built from its endpoint, or from variables that it reads by itself.
pub fn layers(service: &'static str, config: &Telemetry) -> anyhow::Result<(Layers, Guard)> {
    let Some(endpoint) = &config.otlp_endpoint else { return Ok((Vec::new(), Guard(None))) };
    let provider = provider(service, endpoint, config)?;
    let ours = filter_fn(|span| span.target() == TARGET);
    let traces = tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_tracer(provider.tracer("switchboard"));
    let parent = Parent(config.trace_parent).with_filter(filter_fn(|_| false));
    Ok((vec![traces.with_filter(ours).boxed(), parent.boxed()], Guard(Some(provider))))
}

fn provider(service: &'static str, endpoint: &str, config: &Telemetry) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Line::new()?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()?;
    let waiting = Arc::new(Waiting::default());
    let batches = BatchConfigBuilder::default().with_max_queue_size(config.traces_waiting_max).build();
    let batch = BatchSpanProcessor::builder(Watched::new(exporter, Arc::clone(&waiting))).with_batch_config(batches);
    Ok(SdkTracerProvider::builder()
        .with_span_processor(Gate::new(batch.build(), waiting, config.traces_waiting_max))
        .with_sampler(Stories::kept(config.traces_sampler_arg))
        .with_resource(resource(service))
        .build())
}

/// The identity of this process. We set its name; `OTEL_RESOURCE_ATTRIBUTES` may override the rest.
fn resource(service: &'static str) -> Resource {
    let detected = Resource::builder().build();
    let missing = [
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", Uuid::new_v4().to_string()),
    ];
    let missing = missing.into_iter().filter(|(name, _)| detected.get(&Key::from_static_str(name)).is_none());
    Resource::builder()
        .with_service_name(service)
        .with_attributes(missing.map(|(name, value)| KeyValue::new(name, value)))
        .build()
}
