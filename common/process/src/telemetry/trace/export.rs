//! Chooses the spans that are exported: sampled ones, and those that ended with an error although their trace is not
//! sampled, with the spans around them. A slow or missing collector delays no work: spans that find no room are dropped
//! and counted.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, Status, TraceId, TraceState};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

use crate::telemetry::metrics;
use crate::telemetry::metrics::labels::SpanEnd;

/// How many traces are remembered because of an error in them. The spans around an error end soon after it.
const REMEMBERED: usize = 256;

/// The number of spans between their end and the collector's answer.
#[derive(Debug, Default)]
pub struct Waiting(AtomicUsize);

/// Passes on the spans that are to be exported, as long as there is room.
#[derive(Debug)]
pub struct Gate<P> {
    next: P,
    waiting: Arc<Waiting>,
    room: usize,
    failed: Failed,
}

impl<P> Gate<P> {
    /// Creates a gate before `next`, which holds up to `room` spans.
    pub fn new(next: P, waiting: Arc<Waiting>, room: usize) -> Self {
        Self { next, waiting, room, failed: Failed::default() }
    }

    /// Whether a span is exported although its trace is not sampled: it failed, or a span within it did.
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
            metrics::TRACE_SPANS.of(SpanEnd::NoRoom).inc();
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

/// The traces in which an error occurred most recently.
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
        self.any.load(Ordering::Relaxed) && self.last.lock().unwrap_or_else(PoisonError::into_inner).0.contains(&trace)
    }
}

/// An exporter whose failures are counted, and logged once per outage.
#[derive(Debug)]
pub struct Watched<E> {
    exporter: E,
    waiting: Arc<Waiting>,
    away: AtomicBool,
    lost: AtomicU64,
}

impl<E> Watched<E> {
    /// Wraps an exporter.
    pub fn new(exporter: E, waiting: Arc<Waiting>) -> Self {
        Self { exporter, waiting, away: AtomicBool::new(false), lost: AtomicU64::new(0) }
    }

    fn note(&self, spans: u32, answer: &OTelSdkResult) {
        match answer {
            Ok(()) => {
                metrics::TRACE_SPANS.of(SpanEnd::Sent).inc_by(f64::from(spans));
                if self.away.swap(false, Ordering::Relaxed) {
                    let lost = self.lost.swap(0, Ordering::Relaxed);
                    tracing::info!(lost, "the collector takes traces again");
                }
            }
            Err(error) => {
                metrics::TRACE_SPANS.of(SpanEnd::Refused).inc_by(f64::from(spans));
                self.lost.fetch_add(u64::from(spans), Ordering::Relaxed);
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
        self.note(u32::try_from(spans).unwrap_or(u32::MAX), &answer);
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use opentelemetry::trace::{SpanId, SpanKind, TraceFlags};
    use opentelemetry_sdk::error::OTelSdkError;
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<SpanData>>);

    impl SpanProcessor for Kept {
        fn on_start(&self, _: &mut Span, _: &Context) {}

        fn on_end(&self, span: SpanData) {
            self.0.lock().unwrap().push(span);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    fn span(trace: u128, sampled: bool, failed: bool) -> SpanData {
        let flags = TraceFlags::default().with_sampled(sampled);
        SpanData {
            span_context: SpanContext::new(TraceId::from(trace), SpanId::from(7), flags, false, TraceState::NONE),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "a step".into(),
            start_time: std::time::UNIX_EPOCH,
            end_time: std::time::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if failed { Status::error("database") } else { Status::Unset },
            instrumentation_scope: opentelemetry::InstrumentationScope::default(),
        }
    }

    fn through(gate: &Gate<Kept>) -> Vec<TraceId> {
        let kept = gate.next.0.lock().unwrap();
        assert!(kept.iter().all(|span| span.span_context.is_sampled()), "an exporter drops what is not");
        kept.iter().map(|span| span.span_context.trace_id()).collect()
    }

    #[test]
    fn what_failed_leaves_with_what_surrounds_it() {
        let gate = Gate::new(Kept::default(), Arc::default(), 100);
        for (trace, sampled, failed) in
            [(1, false, false), (2, true, false), (3, false, true), (3, false, false), (4, false, false)]
        {
            gate.on_end(span(trace, sampled, failed));
        }
        assert_eq!(through(&gate), [2, 3, 3].map(TraceId::from));
    }

    #[test]
    fn only_the_last_failures_are_remembered() {
        let gate = Gate::new(Kept::default(), Arc::default(), 10_000);
        let failures = REMEMBERED as u128 + 1;
        (1..=failures).for_each(|trace| gate.on_end(span(trace, false, true)));
        let before = through(&gate).len();
        gate.on_end(span(1, false, false));
        gate.on_end(span(failures, false, false));
        assert_eq!(through(&gate)[before..], [TraceId::from(failures)]);
    }

    #[test]
    fn what_finds_no_room_is_dropped_until_there_is_some() {
        let waiting = Arc::new(Waiting::default());
        let gate = Gate::new(Kept::default(), Arc::clone(&waiting), 2);
        let exporter = Watched::new(Moody(Mutex::new(vec![true])), waiting);
        let dropped = || metrics::TRACE_SPANS.of(SpanEnd::NoRoom).get();
        let before = dropped();
        (1..=5).for_each(|trace| gate.on_end(span(trace, true, false)));
        assert_eq!(through(&gate), [1, 2].map(TraceId::from));
        assert!(dropped() - before >= 3.0);
        futures::executor::block_on(exporter.export(vec![span(1, true, false), span(2, true, false)])).unwrap();
        gate.on_end(span(6, true, false));
        assert_eq!(through(&gate), [1, 2, 6].map(TraceId::from));
    }

    /// Accepts or refuses the next batch, as the test says.
    #[derive(Debug)]
    struct Moody(Mutex<Vec<bool>>);

    impl SpanExporter for Moody {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            let takes = self.0.lock().unwrap().remove(0);
            if takes { Ok(()) } else { Err(OTelSdkError::InternalFailure("nobody is there".to_owned())) }
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_outage_is_told_once_and_its_end_too() {
        let moods = vec![false, false, false, true, true, false];
        let waiting = Arc::new(Waiting(AtomicUsize::new(100)));
        let exporter = Watched::new(Moody(Mutex::new(moods.clone())), waiting);
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let counted = |end| metrics::TRACE_SPANS.of(end).get();
        let (sent, refused) = (counted(SpanEnd::Sent), counted(SpanEnd::Refused));
        tracing::subscriber::with_default(subscriber, || {
            for takes in moods {
                let done =
                    futures::executor::block_on(exporter.export(vec![span(1, true, false), span(2, true, false)]));
                assert_eq!(done.is_ok(), takes);
            }
        });
        let told = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(told.lines().count(), 3, "{told}");
        assert_eq!(told.matches("takes no traces").count(), 2, "{told}");
        assert!(told.contains("takes traces again lost=6"), "{told}");
        assert!(counted(SpanEnd::Refused) - refused >= 8.0 && counted(SpanEnd::Sent) - sent >= 4.0);
    }
}
