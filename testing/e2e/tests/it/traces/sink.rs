//! A collector for tests: accepts OTLP over HTTP in a thread of its own, and keeps every span.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode as SpanStatus};
use prost::Message as _;
use tokio::runtime::{Builder, Runtime};

/// A span, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) trace: String,
    /// The ids of trace and span, by which other spans refer to it.
    pub(crate) id: String,
    /// The parent; `None` for the root of a trace.
    pub(crate) parent: Option<String>,
    pub(crate) links: Vec<String>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) events: Vec<String>,
    pub(crate) failed: bool,
    pub(crate) nanos: u64,
    /// The whole span as text.
    pub(crate) whole: String,
}

impl Seen {
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).unwrap_or_else(|| panic!("{} has no {name}: {:?}", self.name, self.attributes))
    }

    /// The `traceparent` that a row or a job has for it.
    pub(crate) fn traceparent(&self) -> String {
        format!("00-{}-01", self.id)
    }
}

#[derive(Clone, Default)]
struct Desk {
    spans: Arc<Mutex<Vec<Seen>>>,
    requests: Arc<AtomicUsize>,
    mood: Arc<Mutex<Mood>>,
}

/// The way in which it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    #[default]
    Takes,
    Refuses,
    SaysNothing,
}

/// The collector. It ends when this value is dropped.
pub(crate) struct Sink {
    address: SocketAddr,
    desk: Desk,
    runtime: Option<Runtime>,
}

impl Sink {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, desk) = (listener.local_addr().unwrap(), Desk::default());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let router = Router::new().route("/v1/traces", post(take)).with_state(desk.clone());
        runtime.spawn(async move {
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
        Self { address, desk, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn is(&self, mood: Mood) {
        *self.desk.mood.lock().unwrap() = mood;
    }

    pub(crate) fn requests(&self) -> usize {
        self.desk.requests.load(Ordering::SeqCst)
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        self.desk.spans.lock().unwrap().clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn take(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> StatusCode {
    desk.requests.fetch_add(1, Ordering::SeqCst);
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let mood = *desk.mood.lock().unwrap();
    match mood {
        Mood::Takes => {}
        Mood::Refuses => return StatusCode::BAD_REQUEST,
        Mood::SaysNothing => tokio::time::sleep(Duration::from_secs(3_600)).await,
    }
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut spans = desk.spans.lock().unwrap();
    for resource in request.resource_spans {
        let about = texts(&resource.resource.map(|resource| resource.attributes).unwrap_or_default());
        let all = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(all.map(|span| seen(&about, span)));
    }
    StatusCode::OK
}

fn seen(resource: &BTreeMap<String, String>, span: Span) -> Seen {
    let whole = format!("{resource:?} {span:?}");
    let id = |trace: &[u8], span: &[u8]| format!("{}-{}", hex(trace), hex(span));
    Seen {
        service: resource["service.name"].clone(),
        resource: resource.clone(),
        kind: span.kind(),
        trace: hex(&span.trace_id),
        id: id(&span.trace_id, &span.span_id),
        parent: (!span.parent_span_id.is_empty()).then(|| id(&span.trace_id, &span.parent_span_id)),
        links: span.links.iter().map(|link| id(&link.trace_id, &link.span_id)).collect(),
        attributes: texts(&span.attributes),
        events: span.events.iter().map(|event| event.name.clone()).collect(),
        failed: span.status.as_ref().is_some_and(|status| status.code() == SpanStatus::Error),
        nanos: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano),
        name: span.name,
        whole,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}
