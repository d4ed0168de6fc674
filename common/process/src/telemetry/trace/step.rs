//! The steps of traces. Only this file names kinds and attributes of spans.

use opentelemetry::Context;
use opentelemetry::trace::{FutureExt as _, TraceContextExt as _};
use tracing::{Instrument as _, Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::config::TraceParent;

use super::target::TARGET;
use super::{carried, provider};

/// The `messaging.system` of rows and bells, for which the conventions have no value.
const SYSTEM: &str = "switchboard";

/// Where messages, in the sense of the conventions, are stored: a table, or the queues of bells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Messages on their way to WhatsApp.
    Outbox,
    /// Bells.
    Doorbell,
    /// Runs of reminders.
    Runs,
    /// Events, on their way to webhooks and streams.
    Events,
}

impl Destination {
    fn name(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Doorbell => "doorbell",
            Self::Runs => "runs",
            Self::Events => "events",
        }
    }

    fn store(self) -> &'static str {
        match self {
            Self::Outbox | Self::Runs | Self::Events => "postgresql",
            Self::Doorbell => "redis",
        }
    }
}

/// A step of a trace. It ends when its last clone is dropped. In a process that does not trace it does nothing.
#[derive(Debug, Clone)]
pub struct Step(pub(super) Span);

/// A span of the messaging conventions. Without `root` its parent is the caller's current step.
macro_rules! messaging {
    ($(root: $root:expr,)? $operation:literal, $kind:literal, $destination:expr) => {
        tracing::info_span!(
            target: TARGET,
            $(parent: $root,)?
            $operation,
            otel.name = %format_args!("{} {}", $operation, $destination.name()),
            otel.kind = $kind,
            messaging.system = SYSTEM,
            messaging.operation.name = $operation,
            messaging.operation.r#type = $operation,
            messaging.destination.name = $destination.name(),
            db.system.name = $destination.store(),
        )
    };
}

/// Whether this process traces.
#[must_use]
pub fn is_on() -> bool {
    tracing::span_enabled!(target: TARGET, Level::INFO) && tracing::dispatcher::get_default(provider::exports)
}

/// The `traceparent` for a row that is written now: the caller's current step. `None` if its trace is not sampled.
#[must_use]
pub fn here() -> Option<String> {
    Context::map_current(|context| carried::write(context.span().span_context()))
}

/// The id of the caller's trace, for log lines and exemplars. `None` if it is not sampled.
#[must_use]
pub fn id() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let context = span.span_context();
        context.is_sampled().then(|| context.trace_id().to_string())
    })
}

/// Runs a separate task as a continuation of the caller's current step.
pub fn carry<F: Future>(task: F) -> impl Future<Output = F::Output> {
    task.with_context(Context::current())
}

/// A request to the API. It begins a trace, or continues the caller's if `traceparent` is given.
#[must_use]
pub fn request(method: &str, route: Option<&str>, traceparent: Option<&str>) -> Step {
    let (method, name) = if method == "OTHER" { ("_OTHER", "HTTP") } else { (method, method) };
    let step = Step(tracing::info_span!(
        target: TARGET,
        parent: None,
        "request",
        otel.name = %format_args!("{name}{}{}", route.map_or("", |_| " "), route.unwrap_or_default()),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        url.scheme = "http",
    ));
    if !step.0.is_disabled()
        && let Some(caller) = traceparent.and_then(carried::read)
    {
        step.is_part_of(caller);
    }
    step
}

/// A message is created, as the first step of its trace. Writing it, alone or with others, is another step.
#[must_use]
pub fn create(destination: Destination) -> Step {
    Step(messaging!(root: None, "create", "producer", destination))
}

/// Messages are written, within the caller's current step.
#[must_use]
pub fn send(destination: Destination) -> Step {
    Step(messaging!("send", "producer", destination))
}

/// Messages that were created one by one are written together.
#[must_use]
pub fn write(destination: Destination) -> Step {
    Step(messaging!(root: None, "send", "client", destination))
}

/// Messages are read. A step that reads none is not exported unless it fails.
#[must_use]
pub fn receive(destination: Destination) -> Step {
    Step(messaging!(root: None, "receive", "client", destination))
}

/// A message is processed.
#[must_use]
pub fn process(destination: Destination, created: Option<&str>) -> Step {
    let step = Step(messaging!(root: None, "process", "consumer", destination));
    step.follows(created);
    step.follows_by_link(here().as_deref());
    step
}

/// The results of messages are written.
#[must_use]
pub fn settle(destination: Destination) -> Step {
    Step(messaging!(root: None, "settle", "client", destination))
}

/// A bell is rung, within the caller's current step or as a continuation of `after`. A bell that belongs to no trace
/// creates no span.
#[must_use]
pub fn ring(kind: &'static str, after: Option<&str>) -> Step {
    let after = after.and_then(carried::read);
    if !is_on() || (after.is_none() && !Context::map_current(|context| context.span().span_context().is_valid())) {
        return Step(Span::none());
    }
    let step = send(Destination::Doorbell);
    if let Some(after) = after {
        step.is_part_of(after);
    }
    step.kind(kind)
}

/// Accounts are claimed, within the caller's current step if there is one.
#[must_use]
pub fn claim(accounts: usize) -> Step {
    Step(tracing::info_span!(target: TARGET, "claim", otel.name = "claim accounts", otel.kind = "internal"))
        .batch(accounts)
}

impl Step {
    /// A step that does nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(Span::none())
    }

    /// The `traceparent` for a row or a job that this step creates; `None` if its trace is not sampled.
    #[must_use]
    pub fn context(&self) -> Option<String> {
        if self.0.is_disabled() { None } else { carried::write(self.0.context().span().span_context()) }
    }

    /// Runs a future within this step.
    pub fn around<F: Future>(&self, task: F) -> impl Future<Output = F::Output> {
        task.instrument(self.0.clone())
    }

    /// Runs a function within this step, such as an observation whose exemplar names it.
    pub fn within<T>(&self, task: impl FnOnce() -> T) -> T {
        self.0.in_scope(task)
    }

    /// Continues the trace of one message that was created elsewhere: with a link, or as its child, by the setting.
    pub fn follows(&self, created: Option<&str>) {
        let Some(created) = created.filter(|_| !self.0.is_disabled()) else { return };
        match (self.parent(), carried::read(created)) {
            (TraceParent::Child, Some(created)) => self.is_part_of(created),
            (TraceParent::Link, Some(created)) => self.0.add_link(created),
            (_, None) => {}
        }
    }

    /// Continues the traces of many messages, with a link to each trace. If there is only one, the step may be its
    /// child.
    pub fn follows_all<'a>(&self, created: impl IntoIterator<Item = &'a str>) {
        if self.0.is_disabled() {
            return;
        }
        let mut created: Vec<&str> = created.into_iter().collect();
        created.sort_unstable();
        created.dedup();
        match *created {
            [one] => self.follows(Some(one)),
            _ => created.into_iter().for_each(|one| self.follows_by_link(Some(one))),
        }
    }

    fn follows_by_link(&self, created: Option<&str>) {
        if let Some(created) = created.and_then(carried::read) {
            self.0.add_link(created);
        }
    }

    fn is_part_of(&self, created: opentelemetry::trace::SpanContext) {
        // fails only if the step has already begun or is not exported: then it stays as it is
        let _ = self.0.set_parent(Context::new().with_remote_span_context(created));
    }

    fn parent(&self) -> TraceParent {
        self.0.with_subscriber(|(_, dispatch)| provider::parent(dispatch)).unwrap_or_default()
    }

    /// Messages are written, within this step.
    #[must_use]
    pub fn send(&self, destination: Destination) -> Self {
        Self(messaging!(root: &self.0, "send", "producer", destination))
    }

    /// The message is handed over to WhatsApp, within this step.
    #[must_use]
    pub fn hand_over(&self) -> Self {
        Self(tracing::info_span!(
            target: TARGET,
            parent: &self.0,
            "send",
            otel.name = "send whatsapp",
            otel.kind = "client",
            messaging.system = "whatsapp",
            messaging.operation.name = "send",
            messaging.operation.r#type = "send",
        ))
    }

    /// An event is posted to a webhook, within this step. The URL is left out, because it is the tenant's secret.
    #[must_use]
    pub fn post(&self) -> Self {
        Self(tracing::info_span!(
            target: TARGET,
            parent: &self.0,
            "POST",
            otel.kind = "client",
            http.request.method = "POST",
        ))
    }
}
