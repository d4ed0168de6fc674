//! The port that orchestrators and Prometheus talk to: /livez, /readyz, /metrics.
//!
//! Liveness asks whether the process's own loop moves, and nothing else: a database that is away must not restart
//! every pod. Readiness asks whether work would succeed now.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::clock::BootTime;

/// A loop that has not moved for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// A readiness question is answered within this time.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// The pulse of a process's own loop: the loop calls [`Pulse::beat`], liveness reads it.
#[derive(Clone)]
pub struct Pulse(Arc<PulseInner>);

struct PulseInner {
    started: BootTime,
    last_ms: AtomicU64,
    ready: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(PulseInner {
            started: BootTime::now(),
            last_ms: AtomicU64::new(0),
            ready: AtomicBool::new(true),
        }))
    }
}

impl Pulse {
    /// The loop moved.
    pub fn beat(&self) {
        let ms = BootTime::now().since(self.0.started).as_millis();
        self.0.last_ms.store(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether the process wants work; false while it stops.
    pub fn set_ready(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Relaxed);
    }

    /// How long the process has been up.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        BootTime::now().since(self.0.started)
    }

    fn silent_for(&self) -> Duration {
        self.uptime().saturating_sub(Duration::from_millis(self.0.last_ms.load(Ordering::Relaxed)))
    }
}

/// What readiness asks: answers the name of what is missing.
pub type ReadyCheck = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), &'static str>> + Send>> + Send + Sync>;

#[derive(Clone)]
struct Ops {
    pulse: Pulse,
    ready: ReadyCheck,
}

/// The three routes, to be served on a port of their own or merged into another router.
pub fn router(pulse: Pulse, ready: ReadyCheck) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Ops { pulse, ready })
}

async fn livez(State(ops): State<Ops>) -> impl IntoResponse {
    let silent = ops.pulse.silent_for();
    if silent > STUCK_AFTER {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("stuck for {} s\n", silent.as_secs()));
    }
    (StatusCode::OK, "ok\n".to_owned())
}

async fn readyz(State(ops): State<Ops>) -> impl IntoResponse {
    if !ops.pulse.0.ready.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    match tokio::time::timeout(READY_TIMEOUT, (ops.ready)()).await {
        Ok(Ok(())) => (StatusCode::OK, "ok\n".to_owned()),
        Ok(Err(missing)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "no answer within 2 s\n".to_owned()),
    }
}

async fn metrics() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], crate::telemetry::metrics::render())
}
