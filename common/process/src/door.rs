//! Serves HTTP/1.1 on a listener, with a limit for everything that a client can start. Opening a connection needs no
//! key, so connections are counted, in total and per address, and silent ones are closed after a time. If there is no
//! room, the connection that has waited longest for its client is closed: an active client gets in, however many others
//! are silent.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// How long a client may take for the first byte of a connection, and then for the rest of a request's head.
pub const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may be idle between two requests. This is longer than the 60 s of common proxies, so that the
/// proxy closes it.
pub const REST: Duration = Duration::from_secs(75);
/// How long a client may accept no data of its answer.
const DEAF: Duration = Duration::from_secs(60);
/// How long requests under way may take after the process is told to stop.
const LAST: Duration = Duration::from_secs(15);
/// How often a connection is checked.
const LOOK: Duration = Duration::from_millis(500);
/// The pause after an error that is not about one connection, such as too many open files.
const PAUSE: Duration = Duration::from_millis(200);

/// The limits on the number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In total.
    pub connections: usize,
    /// From one address. Behind a proxy all connections have the proxy's address.
    pub per_address: usize,
}

/// Enough for orchestrators and Prometheus.
pub const OPS: Limits = Limits { connections: 256, per_address: 128 };

/// Serves until `stop` is cancelled. Then requests under way are answered; connections whose request is incomplete are
/// closed.
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, stop: CancellationToken) {
    let (doors, tasks) = (Arc::new(Doors::new(limits)), TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((socket, address)) => {
                let Some(place) = Doors::enter(&doors, address) else { continue };
                tasks.spawn(converse(socket, app.clone(), place, stop.clone()));
            }
            Err(error) => {
                if !is_one_connections(&error) {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

fn is_one_connections(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Idle: nothing has come since the last answer.
    Rest,
    /// Waiting for the first byte of a request, or for the rest of its head.
    Head,
    /// Receiving a request's body.
    Body,
    /// Answering a request.
    Answer,
}

impl Phase {
    /// How long the phase may last. Body and answer have limits of their own.
    const fn limit(self) -> Option<Duration> {
        match self {
            Self::Rest => Some(REST),
            Self::Head => Some(HEAD),
            Self::Body | Self::Answer => None,
        }
    }
}

#[derive(Clone, Copy)]
struct State {
    phase: Phase,
    since: Instant,
    /// Since when the client accepts no data.
    deaf_since: Option<Instant>,
}

impl State {
    fn new(phase: Phase) -> Self {
        Self { phase, since: Instant::now(), deaf_since: None }
    }

    fn is_overdue(&self) -> bool {
        self.phase.limit().is_some_and(|limit| self.since.elapsed() >= limit)
            || self.deaf_since.is_some_and(|since| since.elapsed() >= DEAF)
    }
}

/// The state of a connection, shared by the connection and its listener.
struct Line {
    address: IpAddr,
    state: Mutex<State>,
    /// Cancelled to close the connection and make room.
    leave: CancellationToken,
}

impl Line {
    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::new(phase);
    }

    fn change(&self, from: Phase, to: Phase) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.phase == from {
            *state = State::new(to);
        }
    }

    /// Records a write: either data was sent, or the client did not accept it.
    fn sent(&self, is_deaf: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.deaf_since = is_deaf.then(|| state.deaf_since.unwrap_or_else(Instant::now));
    }
}

/// All connections of a listener.
struct Doors {
    limits: Limits,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    next: u64,
    open: HashMap<u64, Arc<Line>>,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place. Dropping it frees the place.
struct Place {
    doors: Arc<Doors>,
    number: u64,
    line: Arc<Line>,
}

impl Doors {
    /// The limit of open files also limits the connections: half of it is kept for the rest of the process.
    fn new(mut limits: Limits) -> Self {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 2;
        limits.connections = limits.connections.min(usize::try_from(files).unwrap_or(usize::MAX));
        Self { limits, lines: Mutex::default() }
    }

    /// A place for a connection; `None` if there is no room and no connection can be closed for it.
    fn enter(doors: &Arc<Self>, address: SocketAddr) -> Option<Place> {
        let address = address.ip().to_canonical();
        let mut lines = doors.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = lines.by_address.get(&address).copied().unwrap_or_default();
        let full = lines.open.len() >= doors.limits.connections;
        if (of_address >= doors.limits.per_address && !lines.make_room(Some(address)))
            || (full && !lines.make_room(None))
        {
            return None;
        }
        let state = Mutex::new(State::new(Phase::Head));
        let line = Arc::new(Line { address, state, leave: CancellationToken::new() });
        let number = lines.next;
        lines.next += 1;
        lines.open.insert(number, line.clone());
        *lines.by_address.entry(address).or_default() += 1;
        Some(Place { doors: doors.clone(), number, line })
    }
}

impl Lines {
    /// Closes the connection that has waited longest for its client, from one address if given. It no longer counts.
    /// Returns false if there is none.
    fn make_room(&mut self, address: Option<IpAddr>) -> bool {
        let waiting = self.open.iter().filter(|(_, line)| address.is_none_or(|address| line.address == address));
        let waiting = waiting.map(|(number, line)| (*number, line.state()));
        let longest = waiting.filter(|(_, state)| state.phase.limit().is_some()).min_by_key(|(_, state)| state.since);
        let Some((number, _)) = longest else { return false };
        if let Some(line) = self.open.get(&number) {
            line.leave.cancel();
        }
        self.remove(number);
        true
    }

    fn remove(&mut self, number: u64) {
        let Some(line) = self.open.remove(&number) else { return };
        if let Some(count) = self.by_address.get_mut(&line.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&line.address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.doors.lines.lock().unwrap_or_else(PoisonError::into_inner).remove(self.number);
    }
}

/// Serves one connection until it ends, is too slow, must make room, or the process stops.
async fn converse(socket: TcpStream, app: Router, place: Place, stop: CancellationToken) {
    // Answers are small; waiting to fill a packet only delays them.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let line = place.line.clone();
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (app, line) = (app.clone(), line.clone());
        async move {
            line.set(if request.body().is_end_stream() { Phase::Answer } else { Phase::Body });
            let request: Request = request.map(|body| Body::new(Arriving { body, line: line.clone() }));
            let answer = app.oneshot(request).await?;
            Ok::<_, std::convert::Infallible>(answer.map(|body| Leaving { body, line }))
        }
    });
    let io = TokioIo::new(Heard { socket, line: line.clone() });
    let mut conversation = pin!(http1::Builder::new().serve_connection(io, service));
    let mut stopped: Option<Instant> = None;
    loop {
        let look = tokio::time::sleep(LOOK);
        tokio::select! {
            done = conversation.as_mut() => {
                if let Err(error) = done {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            () = line.leave.cancelled() => return,
            () = stop.cancelled(), if stopped.is_none() => {
                stopped = Some(Instant::now());
                conversation.as_mut().graceful_shutdown();
            }
            () = look => {}
        }
        let state = line.state();
        // an answer that was just given gets a moment to be sent
        let patience = if state.phase == Phase::Answer { LAST } else { LOOK };
        if state.is_overdue() || stopped.is_some_and(|stopped| stopped.elapsed() >= patience) {
            return;
        }
    }
}

/// A socket that records reads and writes.
struct Heard {
    socket: TcpStream,
    line: Arc<Line>,
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.line.change(Phase::Rest, Phase::Head);
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let sent = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.line.sent(sent.is_pending());
        sent
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let sent = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.line.sent(sent.is_pending());
        sent
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

/// A request's body, which records when it is complete.
struct Arriving {
    body: Incoming,
    line: Arc<Line>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.line.change(Phase::Body, Phase::Answer);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body, which records when it was sent or dropped.
struct Leaving {
    body: Body,
    line: Arc<Line>,
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.line.set(Phase::Rest);
    }
}
