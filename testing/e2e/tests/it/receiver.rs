//! A receiver of webhooks: it answers as the test says, and records every request.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use domain::webhook::signature;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    headers: HeaderMap,
    body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn maybe(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The check that a receiver must make before it trusts a request.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp").parse().unwrap());
        let expected = signature::header([secret], id, timestamp, &self.body);
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

#[derive(Clone)]
struct Desk {
    received: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    open: Arc<Semaphore>,
}

/// The server. It ends when this value is dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    desk: Desk,
    task: AbortHandle,
}

impl Receiver {
    /// Starts a receiver that gives these answers, and then 200.
    pub(crate) async fn start(answers: &[u16]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Desk {
            received: Arc::default(),
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
            open: Arc::new(Semaphore::new(1)),
        };
        let router = Router::new().fallback(take).with_state(desk.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }).abort_handle();
        Self { address, desk, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?token=x", self.address)
    }

    /// From now on requests are accepted but not answered, until `answer` is called.
    pub(crate) fn hold(&self) {
        assert_eq!(self.desk.open.forget_permits(1), 1);
    }

    pub(crate) fn answer(&self) {
        self.desk.open.add_permits(1);
    }

    /// All requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.desk.received.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `HEAD`, which asks whether the server is there, is answered as by most receivers: they allow only `POST`.
async fn take(State(desk): State<Desk>, method: Method, headers: HeaderMap, body: String) -> StatusCode {
    if method == Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED;
    }
    desk.received.lock().unwrap().push(Received { headers, body });
    drop(desk.open.acquire().await.unwrap());
    let status = desk.answers.lock().unwrap().pop_front().unwrap_or(200);
    StatusCode::from_u16(status).unwrap()
}
