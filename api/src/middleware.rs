//! What happens around every request: its id, time limit, trace and metrics, and the handling of panics.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use process::telemetry::metrics::labels::{CodeClass, Endpoint};
use process::telemetry::metrics::{self, OneMore};
use process::telemetry::trace;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::openapi::page::UNDOCUMENTED;
use crate::problem::{Problem, REQUEST_ID};

/// The time limit of a request. For a stream, it covers only the beginning of the answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The request's id, in requests and answers.
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The W3C Trace Context of a caller that traces. It is not returned, since no finished standard defines that.
const TRACEPARENT: &str = "traceparent";
/// Whether a route is not traced, because machines call it every few seconds or it is part of a page.
fn is_untraced(route: &str) -> bool {
    route == "/health" || UNDOCUMENTED.contains(&route)
}

/// The outermost middleware. It gives the request an id (a client's own is kept if it is short and plain), measures it
/// and enforces its time limit. Spans contain the route's pattern, never a phone number or a text.
pub async fn around(request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(&X_REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| is_plain(id))
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    let method = known_method(request.method().as_str());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let endpoint = Endpoint::of(matched.as_ref().map(MatchedPath::as_str), method);
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let _in_flight = OneMore::of(&metrics::HTTP_REQUESTS_IN_FLIGHT);
    let started = Instant::now();
    let step = match matched.as_ref().map(MatchedPath::as_str) {
        Some(route) if is_untraced(route) => trace::Step::none(),
        route => trace::request(method, route, request.headers().get(TRACEPARENT).and_then(|text| text.to_str().ok())),
    };
    let span = tracing::info_span!("request", method, route, request_id = id);
    let answer = REQUEST_ID.scope(id.clone(), async {
        match tokio::time::timeout(TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                tracing::warn!("a request took too long");
                Problem::Timeout.into_response()
            }
        }
    });
    let mut response = step.around(answer.instrument(span.clone())).await;
    let (status, seconds) = (response.status(), started.elapsed().as_secs_f64());
    step.answered(status.as_u16(), true);
    metrics::HTTP_REQUESTS.of((endpoint, CodeClass::of(status.as_u16()))).inc();
    step.within(|| metrics::HTTP_REQUEST_SECONDS.of(endpoint).observe_with_trace(seconds));
    tracing::debug!(parent: &span, status = status.as_u16(), seconds, "answered");
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID.clone(), id);
    }
    response
}

fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// The method as a metric label. Clients can invent methods, but labels must be bounded.
fn known_method(method: &str) -> &'static str {
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("OTHER")
}

/// The answer when a handler panics.
pub fn on_panic(panic: Box<dyn std::any::Any + Send>) -> Response {
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Problem::internal(&format_args!("panic: {words}")).into_response()
}
