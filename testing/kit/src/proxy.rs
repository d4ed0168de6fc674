//! A TCP proxy that a test puts between two parts, so that it can cut or silence the connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Passes them on.
    Through,
    /// Passes them on, each read with this delay.
    Slow(Duration),
    /// Half open: connections are accepted and stay open, but no byte moves in either direction.
    Silent,
    /// Resets open connections, and closes new ones at once.
    Cut,
}

/// The state that every connection of a proxy watches.
#[derive(Debug, Clone, Copy)]
struct State {
    line: Line,
    /// The number of cuts so far. So a cut is noticed even if the line is restored at once.
    cuts: u64,
}

/// A proxy to one address. When it is dropped, it ends and its connections are reset.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of the loopback interface. `target` need not exist yet.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(watch::Sender::new(State { line: Line::Through, cuts: 0 }));
        let states = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = states.subscribe();
                if state.borrow().line != Line::Cut {
                    tokio::spawn(connect(client, target, state));
                }
            }
        });
        Ok(Self { address, state, accepting })
    }

    /// Starts a proxy before the server of this URL. Also returns the URL through the proxy.
    ///
    /// # Errors
    /// If the URL has no port or its host is not found, or there is no free port.
    pub async fn before(url: &str) -> anyhow::Result<(Self, String)> {
        let mut url = reqwest::Url::parse(url)?;
        let far = (url.host_str().unwrap_or_default().to_owned(), url.port().context("a URL without a port")?);
        let target = tokio::net::lookup_host(far).await?.next().context("nobody has this name")?;
        let proxy = Self::start(target).await?;
        let _ = (url.set_ip_host(proxy.address().ip()), url.set_port(Some(proxy.address().port())));
        Ok((proxy, url.to_string()))
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the line for open and new connections. Bytes that wait on a silent line are passed on later, unless the
    /// line is cut in between.
    pub fn set(&self, line: Line) {
        self.state.send_modify(|state| {
            state.line = line;
            state.cuts += u64::from(line == Line::Cut);
        });
    }

    /// Resets every open connection. New ones are treated as before.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Line::Cut);
    }
}

async fn connect(client: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    let cuts = state.borrow().cuts;
    let mut ended = state.clone();
    tokio::select! {
        _ = ended.wait_for(|state| state.cuts != cuts) => {}
        () = carry(client, target, &mut state) => {}
    }
}

async fn carry(client: TcpStream, target: SocketAddr, state: &mut watch::Receiver<State>) {
    // a half-open connection reaches no server, though its client believes that it is connected
    if state.wait_for(|state| state.line != Line::Silent).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    // this affects only the speed, so errors are ignored
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, state.clone()) => {}
        () = pump(from_server, to_client, state.clone()) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).await;
        // a silent line does not pass on the end of a connection either
        let Ok(line) = state.wait_for(|state| state.line != Line::Silent).await.map(|state| state.line) else { return };
        let Ok(read @ 1..) = read else { return };
        if let Line::Slow(by) = line {
            tokio::time::sleep(by).await;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
