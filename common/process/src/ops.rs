//! The port for orchestrators and Prometheus: /livez, /readyz, /metrics.
//!
//! Liveness checks only whether the process's own loop moves: an unreachable database must not restart every pod.
//! Readiness checks whether work would succeed now.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::BootTime;
use crate::door;
use crate::telemetry::metrics::{self, Component, Format};

/// A loop that has not moved for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// The time limit of a readiness check.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// The pulse of a process's own loop. The loop calls [`Pulse::beat`], and liveness reads it.
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

    /// Sets whether the process wants work. It does not while it stops.
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

/// The readiness check. On failure it returns what is missing, in one line.
pub type ReadyCheck = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

#[derive(Clone)]
struct Ops {
    of: Component,
    pulse: Pulse,
    ready: ReadyCheck,
}

/// Binds a port. `setting` is the name of the variable that holds the address.
///
/// # Errors
/// If the address is taken or not local. The text names the setting.
pub async fn listen(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("can't listen on {address} ({setting})"))
}

/// Serves the three routes of this binary until `stop` is cancelled. They have a port of their own, which tenants
/// cannot reach.
pub async fn serve(of: Component, listener: TcpListener, pulse: Pulse, ready: ReadyCheck, stop: CancellationToken) {
    metrics::start(of);
    door::serve(listener, router(Ops { of, pulse, ready }), door::OPS, stop).await;
}

fn router(ops: Ops) -> Router {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).route("/metrics", get(page)).with_state(ops)
}

async fn livez(State(ops): State<Ops>) -> impl IntoResponse {
    let silent = ops.pulse.silent_for();
    if silent > STUCK_AFTER {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("stuck for {} s\n", silent.as_secs()));
    }
    (StatusCode::OK, "ok\n".to_owned())
}

async fn readyz(State(ops): State<Ops>) -> impl IntoResponse {
    let (status, text) = readiness(ops).await;
    metrics::READY.set(if status == StatusCode::OK { 1.0 } else { 0.0 });
    (status, text)
}

async fn readiness(ops: Ops) -> (StatusCode, String) {
    if !ops.pulse.0.ready.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    match tokio::time::timeout(READY_TIMEOUT, (ops.ready)()).await {
        Ok(Ok(())) => (StatusCode::OK, "ok\n".to_owned()),
        Ok(Err(missing)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "no answer within 2 s\n".to_owned()),
    }
}

async fn page(State(ops): State<Ops>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    ([(header::CONTENT_TYPE, format.content_type())], metrics::render(ops.of, format))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pulse of a process that has been up for this long.
    fn up_for(up: Duration) -> Pulse {
        let started = BootTime::at(BootTime::now().since(BootTime::at(up)));
        Pulse(Arc::new(PulseInner { started, last_ms: AtomicU64::new(0), ready: AtomicBool::new(true) }))
    }

    /// Serves the routes with a readiness check that gives this answer, or never answers.
    async fn serve(pulse: &Pulse, answer: Option<Result<(), String>>) -> std::net::SocketAddr {
        let ready: ReadyCheck = Arc::new(move || {
            let answer = answer.clone();
            Box::pin(async move {
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            })
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(super::serve(Component::Worker, listener, pulse.clone(), ready, CancellationToken::new()));
        address
    }

    /// The status and text of an answer.
    async fn get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), text.to_owned())
    }

    /// R60: a loop that has not moved for a minute is stuck and not live; it is live again when the loop moves.
    #[tokio::test]
    async fn a_loop_that_is_stuck_is_not_alive() {
        let pulse = up_for(Duration::from_secs(59));
        let address = serve(&pulse, Some(Ok(()))).await;
        assert_eq!(get(address, "/livez").await, (200, "ok\n".to_owned()), "not for so long yet");

        let pulse = up_for(Duration::from_secs(75));
        let address = serve(&pulse, Some(Ok(()))).await;
        let (status, text) = get(address, "/livez").await;
        assert_eq!(status, 503);
        assert!(text.starts_with("stuck for 75 s") || text.starts_with("stuck for 76 s"), "{text}");
        assert_eq!(get(address, "/readyz").await.0, 200, "readiness does not ask for it");
        pulse.beat();
        assert_eq!(get(address, "/livez").await, (200, "ok\n".to_owned()));
    }

    /// R60: a missing or silent store, or a stop under way, makes a process not ready; it is still live.
    #[tokio::test]
    async fn a_process_that_is_not_ready_is_alive() {
        for (answer, says) in [(Some(Err("no database".to_owned())), "no database\n"), (None, "no answer within 2 s\n")]
        {
            let address = serve(&Pulse::default(), answer).await;
            assert_eq!(get(address, "/readyz").await, (503, says.to_owned()));
            assert_eq!(get(address, "/livez").await.0, 200);
        }
        let pulse = Pulse::default();
        let address = serve(&pulse, Some(Ok(()))).await;
        assert_eq!(get(address, "/readyz").await, (200, "ok\n".to_owned()));
        pulse.set_ready(false);
        assert_eq!(get(address, "/readyz").await, (503, "stopping\n".to_owned()));
        assert_eq!(get(address, "/livez").await.0, 200);
    }
}
