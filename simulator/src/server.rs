//! The port. Each connection is either a client's WebSocket or a request to the admin API.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::drop_sockets::{STOP_TIMEOUT, drop_sockets};
use crate::world::{World, persist};
use crate::{admin, connection};

/// How long a new connection may take until its kind is known.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);
/// The start of every request for the clients' endpoint.
const CHAT: &[u8] = b"GET /ws/chat";
const ADMIN_BACKLOG: usize = 64;

/// A running simulator. Dropping it without [`Simulator::stop`] leaves its tasks to the runtime.
pub struct Simulator {
    pub addr: SocketAddr,
    world: Arc<World>,
    tasks: Vec<JoinHandle<()>>,
}

/// Opens the world and starts to listen.
pub async fn start(config: Config) -> anyhow::Result<Simulator> {
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let addr = listener.local_addr()?;
    let world = Arc::new(persist::open(config)?);
    // saves the key of a new world, even if nothing else happens
    persist::save(&world).await?;
    let (admin_sockets, requests) = mpsc::channel(ADMIN_BACKLOG);
    let router = admin::router(Arc::clone(&world));
    let mut tasks = vec![tokio::spawn(accept(Arc::clone(&world), listener, admin_sockets))];
    tasks.push(tokio::spawn(async move {
        let listener = Requests { sockets: requests, addr };
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the admin API has stopped");
        }
    }));
    if world.config.world.is_some() {
        tasks.push(tokio::spawn(persist::keep_saved(Arc::clone(&world))));
    }
    Ok(Simulator { addr, world, tasks })
}

impl Simulator {
    /// The URL for clients.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws/chat", self.addr)
    }

    /// The base URL of the admin API.
    pub fn admin_url(&self) -> String {
        format!("http://{}/admin", self.addr)
    }

    /// Stops listening, closes all sockets and saves the world.
    pub async fn stop(self) -> anyhow::Result<()> {
        for task in &self.tasks {
            task.abort();
        }
        drop_sockets(&self.world, "shutdown").await;
        let quiet = async {
            while self.world.letters_waiting.load(std::sync::atomic::Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, quiet).await.is_err() {
            tracing::warn!("phones still had stanzas to read");
        }
        persist::save(&self.world).await
    }
}

async fn accept(world: Arc<World>, listener: TcpListener, admin: mpsc::Sender<TcpStream>) {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                tokio::spawn(sort(Arc::clone(&world), tcp, admin.clone()));
            }
            Err(error) => {
                // usually "too many open files", which passes when other connections close
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Peeks at the first bytes and passes the connection on.
async fn sort(world: Arc<World>, tcp: TcpStream, admin: mpsc::Sender<TcpStream>) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    match tokio::time::timeout(FIRST_BYTES_TIMEOUT, is_chat(&tcp)).await {
        // boxed, so that this task holds only a small future while the connection lives
        Ok(Ok(true)) => Box::pin(connection::serve(world, tcp)).await,
        Ok(Ok(false)) => {
            let _ = admin.send(tcp).await;
        }
        Ok(Err(_)) | Err(_) => {}
    }
}

async fn is_chat(tcp: &TcpStream) -> io::Result<bool> {
    let mut first = [0; CHAT.len()];
    loop {
        let seen = tcp.peek(&mut first).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[..seen] != CHAT[..seen] {
            return Ok(false);
        }
        if seen == CHAT.len() {
            return Ok(true);
        }
        // `peek` returns as soon as there is one byte: wait for the rest
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The connections that are requests to the admin API, as a listener for axum.
struct Requests {
    sockets: mpsc::Receiver<TcpStream>,
    addr: SocketAddr,
}

impl axum::serve::Listener for Requests {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.sockets.recv().await {
            Some(tcp) => {
                let from = tcp.peer_addr().unwrap_or(self.addr);
                (tcp, from)
            }
            // the accepting task is gone, so no more will come
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.addr)
    }
}
