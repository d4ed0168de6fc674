//! The export to the collector: what is sent, and what happens if it is not accepted.

use std::time::{Duration, Instant};

use process::config::Telemetry;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::SpanEnd;
use process::telemetry::trace::{self, Destination};
use process::telemetry::{Guard, dispatch};
use tracing::Dispatch;

use super::sink::{Mood, Sink};

fn traced(sink: &Sink, waiting: usize) -> (Dispatch, Guard) {
    let telemetry = Telemetry { otlp_endpoint: Some(sink.url()), traces_waiting_max: waiting, ..Telemetry::default() };
    dispatch("switchboard-test", &telemetry).unwrap()
}

/// R06: spans and events of libraries and log lines are never exported; only our own steps are.
#[test]
fn libraries_say_nothing() {
    let sink = Sink::start();
    let (dispatch, guard) = traced(&sink, 2_048);
    tracing::dispatcher::with_default(&dispatch, || {
        let step = trace::create(Destination::Outbox);
        let within =
            tracing::info_span!(target: "whatsapp_rust::client", "handle", jid = "4917012345678@s.whatsapp.net");
        let _within = within.enter();
        for _ in 0..3 {
            let query = tracing::info_span!(target: "sqlx::query", "query", sql = "SELECT 'Grace'");
            query.in_scope(|| tracing::error!(target: "hyper", number = "4917012345678", "sent"));
        }
        let ours = tracing::error_span!(target: "worker::session", "session", text = "Grace");
        ours.in_scope(|| {
            tracing::warn!(target: "worker::session", text = "Grace", "a line of ours");
            drop(trace::claim(1));
        });
        drop(step);
    });
    drop(guard);
    let spans = sink.spans();
    let mut names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["claim accounts", "create outbox"]);
    assert!(spans.iter().all(|span| span.events.is_empty()), "{spans:?}");
    for secret in ["4917012345678", "Grace", "sqlx", "hyper", "whatsapp_rust"] {
        assert!(spans.iter().all(|span| !span.whole.contains(secret)), "{secret}: {spans:?}");
    }
}

/// R06: a step inside another library's span has our surrounding step as its parent.
#[test]
fn a_step_finds_the_step_around_it() {
    let sink = Sink::start();
    let (dispatch, guard) = traced(&sink, 2_048);
    tracing::dispatcher::with_default(&dispatch, || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let step = trace::create(Destination::Runs);
        runtime.block_on(step.around(async {
            let log = tracing::info_span!(target: "api", "request");
            tracing::Instrument::instrument(async { drop(trace::send(Destination::Outbox)) }, log).await;
            assert!(trace::here().is_some());
            assert_eq!(trace::id(), trace::here().map(|here| here[3..35].to_owned()));
        }));
        assert_eq!(trace::here(), None);
    });
    drop(guard);
    let spans = sink.spans();
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(named("send outbox").parent.as_ref(), Some(&named("create runs").id));
}

/// The number of spans of this process with this end.
fn spans(end: SpanEnd) -> f64 {
    metrics::TRACE_SPANS.of(end).get()
}

/// R06: a collector that accepts the connection but does not answer delays nothing. Spans without room are dropped and
/// counted, and the end of the process waits two seconds.
#[test]
fn a_collector_that_hangs_holds_up_nobody() {
    let sink = Sink::start();
    sink.is(Mood::SaysNothing);
    let (dispatch, guard) = traced(&sink, 64);
    let before = spans(SpanEnd::NoRoom);
    let start = Instant::now();
    tracing::dispatcher::with_default(&dispatch, || (0..10_000).for_each(|_| drop(trace::create(Destination::Outbox))));
    let took = start.elapsed();
    println!("10,000 steps in {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(spans(SpanEnd::NoRoom) - before >= 10_000.0 - 64.0);
    let start = Instant::now();
    drop(guard);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

/// R06: spans that a collector refuses are counted. When it accepts traces again, they are exported again.
#[test]
fn a_collector_that_comes_back_is_used_again() {
    let sink = Sink::start();
    sink.is(Mood::Refuses);
    let (dispatch, guard) = traced(&sink, 512);
    let before = spans(SpanEnd::Refused);
    tracing::dispatcher::with_default(&dispatch, || {
        // a batch is posted when it is full
        (0..512).for_each(|_| drop(trace::create(Destination::Outbox)));
        let start = Instant::now();
        while spans(SpanEnd::Refused) - before < 512.0 {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", spans(SpanEnd::Refused));
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(sink.requests() > 0);
        sink.is(Mood::Takes);
        drop(trace::create(Destination::Runs));
    });
    drop(guard);
    let names: Vec<String> = sink.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["create runs"]);
}

/// R06: without an endpoint there is no span and nothing is passed on.
#[test]
fn without_an_endpoint_nothing_is_traced() {
    let (dispatch, _guard) = dispatch("switchboard-test", &Telemetry::default()).unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        assert!(!trace::is_on());
        let step = trace::create(Destination::Outbox).batch(3);
        step.fails(&"never");
        assert_eq!((step.context(), trace::here(), trace::id()), (None, None, None));
    });
}
