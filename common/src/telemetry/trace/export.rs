//! What leaves the process: kept spans, and those that ended with an error although their trace is not kept, with what
//! surrounds them. A collector that is slow or away holds nobody up: what finds no room is dropped and counted.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, Status, TraceId, TraceState};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

/// Traces that are remembered for an error in them: the spans around it end soon after it.
const REMEMBERED: usize = 256;

static SENT: AtomicU64 = AtomicU64::new(0);
static NO_ROOM: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Spans of this process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// The collector took them.
    pub sent: u64,
    /// Dropped, as too many were waiting.
    pub no_room: u64,
    /// Dropped, as the collector did not take them.
    pub refused: u64,
}

/// How many spans of this process were sent and dropped so far.
#[must_use]
pub fn exported() -> Exported {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Exported { sent: load(&SENT), no_room: load(&NO_ROOM), refused: load(&REFUSED) }
}

/// Spans between their end and the collector's answer.
#[derive(Debug, Default)]
pub struct Waiting(AtomicUsize);

/// Lets through what is to be exported, as long as there is room.
#[derive(Debug)]
pub struct Gate<P> {
    next: P,
    waiting: Arc<Waiting>,
    room: usize,
    failed: Failed,
}

impl<P> Gate<P> {
    /// Before `next`, which holds up to `room` spans.
    pub fn new(next: P, waiting: Arc<Waiting>, room: usize) -> Self {
        Self { next, waiting, room, failed: Failed::default() }
    }

    /// Whether a span leaves that is not kept: it failed, or something within it did.
    fn leaves(&self, span: &SpanData) -> bool {
        let trace = span.span_context.trace_id();
        if matches!(span.status, Status::Error { .. }) {
            self.failed.remember(trace);
            return true;
        }
        self.failed.knows(trace)
    }
}

impl<P: SpanProcessor> SpanProcessor for Gate<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, mut span: SpanData) {
        if !span.span_context.is_sampled() {
            if !self.leaves(&span) {
                return;
            }
            span.span_context = sampled(&span.span_context);
        }
        if self.waiting.0.fetch_add(1, Ordering::Relaxed) >= self.room {
            self.waiting.0.fetch_sub(1, Ordering::Relaxed);
            NO_ROOM.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.next.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

fn sampled(context: &SpanContext) -> SpanContext {
    let flags = context.trace_flags().with_sampled(true);
    SpanContext::new(context.trace_id(), context.span_id(), flags, context.is_remote(), TraceState::NONE)
}

/// The traces in which something failed last.
#[derive(Debug, Default)]
struct Failed {
    any: AtomicBool,
    last: Mutex<(HashSet<TraceId>, VecDeque<TraceId>)>,
}

impl Failed {
    fn remember(&self, trace: TraceId) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, order) = &mut *last;
        if known.insert(trace) {
            order.push_back(trace);
            if order.len() > REMEMBERED
                && let Some(oldest) = order.pop_front()
            {
                known.remove(&oldest);
            }
        }
        self.any.store(true, Ordering::Relaxed);
    }

    fn knows(&self, trace: TraceId) -> bool {
        self.any.load(Ordering::Relaxed)
            && self.last.lock().unwrap_or_else(PoisonError::into_inner).0.contains(&trace)
    }
}

/// An exporter whose failures are counted, and told once per outage.
#[derive(Debug)]
pub struct Watched<E> {
    exporter: E,
    waiting: Arc<Waiting>,
    away: AtomicBool,
    lost: AtomicU64,
}

impl<E> Watched<E> {
    /// Watches an exporter.
    pub fn new(exporter: E, waiting: Arc<Waiting>) -> Self {
        Self { exporter, waiting, away: AtomicBool::new(false), lost: AtomicU64::new(0) }
    }

    fn note(&self, spans: u64, answer: &OTelSdkResult) {
        match answer {
            Ok(()) => {
                SENT.fetch_add(spans, Ordering::Relaxed);
                if self.away.swap(false, Ordering::Relaxed) {
                    let lost = self.lost.swap(0, Ordering::Relaxed);
                    tracing::info!(lost, "the collector takes traces again");
                }
            }
            Err(error) => {
                REFUSED.fetch_add(spans, Ordering::Relaxed);
                self.lost.fetch_add(spans, Ordering::Relaxed);
                if !self.away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the collector takes no traces; they are dropped until it does");
                }
            }
        }
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let answer = self.exporter.export(batch).await;
        self.waiting.0.fetch_sub(spans, Ordering::Relaxed);
        self.note(spans as u64, &answer);
        answer
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
