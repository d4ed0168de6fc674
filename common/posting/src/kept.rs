//! Connections that are kept between two requests to one URL, so that most requests need no name lookup, no connection
//! and no handshake. Each goes to an address that was checked when it was opened. It is closed soon after the last
//! request, and after a minute in any case: then the name is resolved and checked anew. Webhooks share a connection only
//! if they have the same URL.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use url::Url;

/// How long a connection is kept without a request. Many servers close theirs after five seconds or more.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// How long a connection is used.
const AGE_MAX: Duration = Duration::from_secs(60);
/// The most connections that wait for a request.
const ALL_MAX: usize = 512;
/// How long a kept connection may take to say that it can take a request. It says so at once if the last answer was read.
const READY_MAX: Duration = Duration::from_millis(20);
/// How often connections that wait too long are closed.
const SWEEP: Duration = Duration::from_secs(1);

/// A connection to a checked address. It is closed when this value is dropped.
pub(super) struct Open {
    pub(super) sender: SendRequest<Full<Bytes>>,
    since: Instant,
    used: Instant,
    _driver: Driver,
}

/// The task that reads and writes the socket.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Open {
    /// Speaks HTTP/1.1 on a socket.
    pub(super) async fn on<S>(socket: S) -> hyper::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(socket)).await?;
        let driver = Driver(tokio::spawn(async move { drop(connection.await) }).abort_handle());
        let now = Instant::now();
        Ok(Self { sender, since: now, used: now, _driver: driver })
    }

    fn is_fresh(&self) -> bool {
        self.since.elapsed() < AGE_MAX && self.used.elapsed() < IDLE_MAX && !self.sender.is_closed()
    }
}

/// The connections that wait for a request.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<All>>);

#[derive(Default)]
struct All {
    of: HashMap<Url, Vec<Open>>,
    count: usize,
    is_swept: bool,
}

impl Kept {
    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection to this URL that was used last, if it can take a request.
    pub(super) async fn take(&self, url: &Url) -> Option<Open> {
        loop {
            let mut open = self.all().take(url)?;
            if open.is_fresh() && matches!(tokio::time::timeout(READY_MAX, open.sender.ready()).await, Ok(Ok(()))) {
                return Some(open);
            }
        }
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(super) fn keep(&self, url: &Url, mut open: Open) {
        open.used = Instant::now();
        let mut all = self.all();
        if all.count >= ALL_MAX || !open.is_fresh() {
            return;
        }
        all.count += 1;
        match all.of.get_mut(url) {
            Some(opens) => opens.push(open),
            None => drop(all.of.insert(url.clone(), vec![open])),
        }
        if !std::mem::replace(&mut all.is_swept, true) {
            drop(all);
            tokio::spawn(self.clone().sweep());
        }
    }

    /// Closes what waits too long, until nothing waits.
    async fn sweep(self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let mut all = self.all();
            all.of.retain(|_, opens| {
                opens.retain(Open::is_fresh);
                !opens.is_empty()
            });
            all.count = all.of.values().map(Vec::len).sum();
            if all.count == 0 {
                all.is_swept = false;
                return;
            }
        }
    }
}

impl All {
    fn take(&mut self, url: &Url) -> Option<Open> {
        let opens = self.of.get_mut(url)?;
        let open = opens.pop();
        self.count -= usize::from(open.is_some());
        if opens.is_empty() {
            self.of.remove(url);
        }
        open
    }
}
