//! Every metric of the house on one page. Labels are bounded: never a tenant, an account or a number.

use std::sync::LazyLock;

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let registry = Registry::new();
    #[cfg(target_os = "linux")]
    register(&registry, prometheus::process_collector::ProcessCollector::for_self());
    registry
});

/// Bells rung, by kind and what became of them (`rung`, `coalesced`, `full`, `failed`).
pub static BELLS_RUNG: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("switchboard_bells_rung_total", "Bells rung", &["kind", "outcome"]));
/// Bells answered, by kind and answer.
pub static BELLS_ANSWERED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("switchboard_bells_answered_total", "Bells answered", &["kind", "answer"]));
/// Restarts of a queue consumer whose backend ended.
pub static CONSUMER_RESTARTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counters("switchboard_consumer_restarts_total", "Queue consumers restarted after their backend ended", &["queue"])
});
/// Messages by how they left the outbox (`sent`, `failed`, `expired`).
pub static MESSAGES: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("switchboard_messages_total", "Messages that left the outbox", &["outcome"]));
/// Seconds from a message's row to the server's acknowledgement.
pub static MESSAGE_ACK_SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    histogram(
        "switchboard_message_ack_seconds",
        "Seconds from accepting a message to WhatsApp's acknowledgement",
        vec![0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0],
    )
});
/// Sessions this worker holds, by state of the session machine.
pub static SESSIONS: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauges("switchboard_sessions", "Sessions this worker holds", &["state"]));
/// Sessions whose connection was restarted five times in a row or more.
pub static SESSIONS_UNSTABLE: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("switchboard_sessions_unstable", "Sessions restarted five times in a row or more"));
/// Restarts of a session's connection, by cause: a link's end, `stale` (no acknowledgement), `no_answer` (no login).
pub static SESSION_RESTARTS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("switchboard_session_restarts_total", "Connections made anew", &["reason"]));
/// Leases this worker holds.
pub static LEASES_HELD: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("switchboard_leases_held", "Account leases this worker holds"));
/// Claims, by outcome (`claimed`, `refused`, `failed`).
pub static CLAIMS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("switchboard_claims_total", "Attempts to claim an account", &["outcome"]));
/// Accounts this worker should hold for the cluster to be in balance.
pub static PLACEMENT_TARGET: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("switchboard_placement_target", "Accounts this worker should hold"));
/// Sessions handed to others for balance.
pub static SESSIONS_SHED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("switchboard_sessions_shed_total", "Sessions handed over because others hold fewer"));
/// Connects that were allowed, by who counted them (`cluster`, or `alone` while Redis is away).
pub static CONNECTS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("switchboard_connects_total", "Connects allowed by the limiter", &["counted"]));
/// Times this worker found itself fenced.
pub static FENCED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("switchboard_fenced_total", "Sessions dropped because another owner has a higher epoch"));
/// Ends of WhatsApp connections, by reason.
pub static LINKS_CLOSED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("switchboard_links_closed_total", "WhatsApp connections that ended", &["reason"]));
/// Occurrences of reminders fired.
pub static OCCURRENCES_FIRED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("switchboard_occurrences_fired_total", "Reminder occurrences fired"));
/// Occurrences that were not sent, by reason (`too_late`, `late`, `superseded`, `overlap`, `queue_full`).
pub static OCCURRENCES_MISSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counters("switchboard_occurrences_missed_total", "Reminder occurrences that were not sent", &["reason"])
});
/// Seconds between an occurrence's time and its run.
pub static OCCURRENCE_LATENESS_SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    histogram(
        "switchboard_occurrence_lateness_seconds",
        "Seconds between an occurrence's time and its run row",
        vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0],
    )
});
/// Attempts to post an event to a webhook, by outcome (`delivered`, `retry`, `failed`).
pub static WEBHOOK_ATTEMPTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counters("switchboard_webhook_attempts_total", "Attempts to post an event to a webhook", &["outcome"])
});
/// Seconds from an event to the 2xx of a webhook's receiver.
pub static WEBHOOK_DELIVERY_SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    histogram(
        "switchboard_webhook_delivery_seconds",
        "Seconds from an event to the receiver's 2xx",
        vec![0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 600.0, 3_600.0, 36_000.0],
    )
});
/// Webhooks that this worker moves.
pub static WEBHOOKS_HELD: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("switchboard_webhooks_held", "Webhooks that this worker moves"));
/// Deliveries that wait at this worker's webhooks.
pub static WEBHOOK_BACKLOG: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("switchboard_webhook_backlog", "Deliveries that wait at this worker's webhooks"));
/// Webhooks disabled by the house, by reason (`failing`, `gone`).
pub static WEBHOOKS_DISABLED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("switchboard_webhooks_disabled_total", "Webhooks disabled by Switchboard", &["reason"]));
/// Runs of scheduler duties, by duty and outcome (`ok`, `error`).
pub static DUTY_RUNS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("switchboard_duty_runs_total", "Scheduler duties run", &["duty", "outcome"]));
/// HTTP requests, by route pattern, method and status.
pub static HTTP_REQUESTS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("switchboard_http_requests_total", "HTTP requests", &["route", "method", "status"]));
/// Seconds an HTTP request took.
pub static HTTP_REQUEST_SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    histogram(
        "switchboard_http_request_seconds",
        "Seconds an HTTP request took",
        vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0],
    )
});

/// The page that Prometheus reads.
#[must_use]
pub fn render() -> String {
    let mut page = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&REGISTRY.gather(), &mut page) {
        tracing::error!(%error, "metrics could not be encoded");
    }
    String::from_utf8_lossy(&page).into_owned()
}

fn register(registry: &Registry, collector: impl prometheus::core::Collector + 'static) {
    if let Err(error) = registry.register(Box::new(collector)) {
        tracing::error!(%error, "a metric is declared twice");
    }
}

#[expect(clippy::expect_used, reason = "names and labels are constants of this page; a test touches each")]
fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let metric = IntCounterVec::new(Opts::new(name, help), labels).expect("a valid metric");
    register(&REGISTRY, metric.clone());
    metric
}

#[expect(clippy::expect_used, reason = "names and labels are constants of this page; a test touches each")]
fn counter(name: &str, help: &str) -> IntCounter {
    let metric = IntCounter::new(name, help).expect("a valid metric");
    register(&REGISTRY, metric.clone());
    metric
}

#[expect(clippy::expect_used, reason = "names and labels are constants of this page; a test touches each")]
fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let metric = IntGaugeVec::new(Opts::new(name, help), labels).expect("a valid metric");
    register(&REGISTRY, metric.clone());
    metric
}

#[expect(clippy::expect_used, reason = "names and labels are constants of this page; a test touches each")]
fn gauge(name: &str, help: &str) -> IntGauge {
    let metric = IntGauge::new(name, help).expect("a valid metric");
    register(&REGISTRY, metric.clone());
    metric
}

#[expect(clippy::expect_used, reason = "names and labels are constants of this page; a test touches each")]
fn histogram(name: &str, help: &str, buckets: Vec<f64>) -> Histogram {
    let metric = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)).expect("a valid metric");
    register(&REGISTRY, metric.clone());
    metric
}
