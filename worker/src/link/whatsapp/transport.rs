//! How a link reaches WhatsApp: a WebSocket that sends small writes at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use http::Uri;
use http::header::{HeaderValue, ORIGIN};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, Connector};
use wacore::net::{Transport, TransportEvent, TransportFactory, WHATSAPP_WEB_ORIGIN};
use wacore::stats::TransportResourceReport;
use whatsapp_rust::async_channel::Receiver;
use whatsapp_rust::transport::{default_tls_connector, from_websocket};

use super::frames::one_at_a_time;
use crate::link::MayAct;

/// The time limit from the first SYN to the upgraded WebSocket. It is below the library's own 20 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long sending a close frame may take before the socket is dropped without one.
const HANG_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// WhatsApp's address and protocol.
#[derive(Debug, Clone)]
pub(super) struct Address {
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
}

impl Address {
    /// Reads a `ws://` or `wss://` URL.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let uri: Uri = url.parse().context("not a URL")?;
        let tls = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") => false,
            _ => bail!("the URL must begin with ws:// or wss://"),
        };
        let host = uri.host().context("the URL names no host")?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { uri, host, port, tls })
    }
}

/// Connects for one link, and keeps the socket so that it can be closed without the client's help.
pub(super) struct Dialer {
    address: Address,
    live: Arc<Live>,
    presenting: watch::Receiver<bool>,
    pairing: bool,
    may_act: MayAct,
}

/// The current socket, or why there is none.
#[derive(Default)]
pub(super) struct Live {
    transport: Mutex<Option<Arc<dyn Transport>>>,
    failure: Mutex<Option<String>>,
}

impl Live {
    /// Why the last attempt to connect failed, if it did.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the socket, if there is one.
    pub(super) async fn hang_up(&self) {
        let transport = self.transport.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(transport) = transport {
            let _ = timeout(HANG_UP_TIMEOUT, transport.disconnect()).await;
        }
    }

    fn set(&self, transport: Option<Arc<dyn Transport>>, failure: Option<String>) {
        *self.transport.lock().unwrap_or_else(PoisonError::into_inner) = transport;
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

impl Dialer {
    /// Creates a dialer, and the view of its socket. `presenting`: whether a passkey is being presented.
    pub(super) fn new(address: Address, presenting: watch::Receiver<bool>, may_act: MayAct) -> (Self, Arc<Live>) {
        let live = Arc::new(Live::default());
        (Self { address, live: Arc::clone(&live), presenting, pairing: false, may_act }, live)
    }

    /// Sets whether the connection is for a pairing, in which WhatsApp may ask for a passkey.
    pub(super) fn pairing(self, pairing: bool) -> Self {
        Self { pairing, ..self }
    }

    async fn dial(&self) -> Result<(Arc<dyn Transport>, Receiver<TransportEvent>)> {
        let address = &self.address;
        let tcp = TcpStream::connect((address.host.as_str(), address.port)).await.context("connect")?;
        // Without this, each answer that waits for a small write costs about 40 ms (Nagle and delayed ACK).
        tcp.set_nodelay(true).context("TCP_NODELAY")?;
        let connector = if address.tls { default_tls_connector() } else { Connector::Plain };
        let stream = connector.wrap(&address.host, tcp).await.context("TLS")?;
        let (socket, _) = ClientBuilder::from_uri(address.uri.clone())
            .add_header(ORIGIN, HeaderValue::from_static(WHATSAPP_WEB_ORIGIN))
            .context("origin")?
            .connect_on(stream)
            .await
            .context("WebSocket upgrade")?;
        let (inner, events) = from_websocket(socket);
        let transport: Arc<dyn Transport> = Arc::new(Guarded { inner, may_act: self.may_act.clone() });
        let events = if self.pairing { one_at_a_time(events, self.presenting.clone()) } else { events };
        Ok((transport, events))
    }
}

/// A socket that refuses to send once the right to act has run out.
struct Guarded {
    inner: Arc<dyn Transport>,
    may_act: MayAct,
}

#[async_trait]
impl Transport for Guarded {
    async fn send(&self, data: Bytes) -> Result<()> {
        ensure!(self.may_act.holds(), "the right to act has run out");
        self.inner.send(data).await
    }

    async fn disconnect(&self) {
        self.inner.disconnect().await;
    }

    fn resource_report(&self) -> Option<TransportResourceReport> {
        self.inner.resource_report()
    }
}

#[async_trait]
impl TransportFactory for Dialer {
    async fn create_transport(&self) -> Result<(Arc<dyn Transport>, Receiver<TransportEvent>)> {
        let dialled = match timeout(CONNECT_TIMEOUT, self.dial()).await {
            Ok(dialled) => dialled,
            Err(_) => Err(anyhow::anyhow!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
        };
        match &dialled {
            Ok((transport, _)) => self.live.set(Some(Arc::clone(transport)), None),
            Err(error) => self.live.set(None, Some(format!("could not connect: {error:#}"))),
        }
        dialled
    }
}
