//! The steps of stories; kinds and attributes are named here alone.

use opentelemetry::Context;
use opentelemetry::trace::{FutureExt as _, TraceContextExt as _};
use tracing::{Instrument as _, Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::config::TraceParent;

use super::target::TARGET;
use super::{carried, provider};

/// `messaging.system` of rows and bells; there is no well-known value for them.
const SYSTEM: &str = "switchboard";

/// Where messages, in the sense of the conventions, lie: a table, or the bells' queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Messages on their way to WhatsApp.
    Outbox,
    /// Bells.
    Doorbell,
    /// Runs of reminders.
    Runs,
    /// What happened, on its way to webhooks and streams.
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

/// A step of a story. It ends when its last clone is dropped; nothing comes of one in a process that does not trace.
#[derive(Debug, Clone)]
pub struct Step(pub(super) Span);

/// A span of the messaging conventions; without `root` it stands within the step that the caller is in.
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

/// What a row that is written now carries: the step that the caller is in, if its trace is kept.
#[must_use]
pub fn here() -> Option<String> {
    Context::map_current(|context| carried::write(context.span().span_context()))
}

/// The id of the trace that the caller is in, if it is kept: for log lines and exemplars.
#[must_use]
pub fn id() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let context = span.span_context();
        context.is_sampled().then(|| context.trace_id().to_string())
    })
}

/// Lets a task of its own go on with the step that the caller is in.
pub fn carry<F: Future>(task: F) -> impl Future<Output = F::Output> {
    task.with_context(Context::current())
}

/// A request to the API: the beginning of a story, or a part of the caller's, whose `traceparent` is given.
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

/// A message is made, the first of its story; where it is written, and with which others, is another step.
#[must_use]
pub fn create(destination: Destination) -> Step {
    Step(messaging!(root: None, "create", "producer", destination))
}

/// Messages are written, within the step that the caller is in.
#[must_use]
pub fn send(destination: Destination) -> Step {
    Step(messaging!("send", "producer", destination))
}

/// Messages that were made one by one are written together.
#[must_use]
pub fn write(destination: Destination) -> Step {
    Step(messaging!(root: None, "send", "client", destination))
}

/// Messages are read. Without one the step tells nothing, unless it fails.
#[must_use]
pub fn receive(destination: Destination) -> Step {
    Step(messaging!(root: None, "receive", "client", destination))
}

/// Something is done about a message.
#[must_use]
pub fn process(destination: Destination, created: Option<&str>) -> Step {
    let step = Step(messaging!(root: None, "process", "consumer", destination));
    step.follows(created);
    step.follows_by_link(here().as_deref());
    step
}

/// What became of messages is written.
#[must_use]
pub fn settle(destination: Destination) -> Step {
    Step(messaging!(root: None, "settle", "client", destination))
}

/// A bell is rung, within the step that the caller is in or after the one that `after` names. One that belongs to no story
/// tells nothing.
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

/// Accounts are claimed, within the step that the caller is in, if it is in one.
#[must_use]
pub fn claim(accounts: usize) -> Step {
    Step(tracing::info_span!(target: TARGET, "claim", otel.name = "claim accounts", otel.kind = "internal"))
        .batch(accounts)
}

impl Step {
    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self(Span::none())
    }

    /// What a row or a job carries that this step makes, if its trace is kept.
    #[must_use]
    pub fn context(&self) -> Option<String> {
        if self.0.is_disabled() { None } else { carried::write(self.0.context().span().span_context()) }
    }

    /// Does something within this step.
    pub fn around<F: Future>(&self, task: F) -> impl Future<Output = F::Output> {
        task.instrument(self.0.clone())
    }

    /// Does something at once within this step, such as an observation whose exemplar names it.
    pub fn within<T>(&self, task: impl FnOnce() -> T) -> T {
        self.0.in_scope(task)
    }

    /// Goes on with one message that was made elsewhere: with a link, or as a part of its trace, as the setting says.
    pub fn follows(&self, created: Option<&str>) {
        let Some(created) = created.filter(|_| !self.0.is_disabled()) else { return };
        match (self.parent(), carried::read(created)) {
            (TraceParent::Child, Some(created)) => self.is_part_of(created),
            (TraceParent::Link, Some(created)) => self.0.add_link(created),
            (_, None) => {}
        }
    }

    /// Goes on with many messages: with a link to each that is another's. Of one alone it may be a part.
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
        // refused only when the step has begun already or is not exported: then it stays as it is
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

    /// The message is handed to WhatsApp, within this step.
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

    /// An event is posted to a webhook, within this step. Where to is the tenant's secret.
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
