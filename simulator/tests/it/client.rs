//! A real client for the tests: the library, with a transport that goes to the simulator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use whatsapp_rust::async_channel::Receiver;
use whatsapp_rust::bot::{Bot, BotHandle};
use whatsapp_rust::transport::{Transport, TransportEvent, TransportFactory};
use whatsapp_rust::types::events::{Event, EventHandler};
use whatsapp_rust::types::presence::ReceiptType;
use whatsapp_rust::wacore::net::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::wacore::pair_code::PairCodeOptions;
use whatsapp_rust::wacore::store::InMemoryBackend;
use whatsapp_rust::wacore::store::traits::SignalStore;
use whatsapp_rust::wacore::types::jid::JidExt;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::{Client, Jid, SendOptions, TokioRuntime};

/// Long enough for a loaded machine; nothing waits so long when all is well.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Keys a test client uploads: enough to work, few enough to be quick.
const PRE_KEYS: usize = 20;

struct ToSimulator(SocketAddr);

#[whatsapp_rust::async_trait]
impl TransportFactory for ToSimulator {
    async fn create_transport(&self) -> Result<(Arc<dyn Transport>, Receiver<TransportEvent>), anyhow::Error> {
        let tcp = TcpStream::connect(self.0).await?;
        tcp.set_nodelay(true)?;
        let uri = format!("ws://{}/ws/chat", self.0);
        let (ws, _) = tokio_websockets::ClientBuilder::new().uri(&uri)?.connect_on(tcp).await?;
        Ok(whatsapp_rust::transport::from_websocket(ws))
    }
}

struct NoHttp;

#[whatsapp_rust::async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse, anyhow::Error> {
        anyhow::bail!("no HTTP in these tests: {}", request.url)
    }
}

struct Forward(mpsc::UnboundedSender<Arc<Event>>);

impl EventHandler for Forward {
    fn handle_event(&self, event: Arc<Event>) {
        let _ = self.0.send(event);
    }
}

/// What survives a client: its keys and its name.
#[derive(Clone)]
pub(crate) struct Store {
    backend: Arc<InMemoryBackend>,
    name: String,
}

impl Store {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { backend: Arc::new(InMemoryBackend::new()), name: format!("client {number}") }
    }

    /// New keys under the same name.
    pub(crate) fn renewed(&self) -> Self {
        Self { name: self.name.clone(), ..Self::new() }
    }

    /// Loses the sessions with these devices, as if an old backup had been restored.
    pub(crate) async fn lose_sessions(&self, with: &[Jid]) {
        for jid in with {
            let address = jid.to_protocol_address();
            let lost = self.backend.delete_session(address.as_str()).await;
            lost.expect("a session to lose");
        }
    }

    /// Builds a client on these keys and starts it.
    pub(crate) async fn connect(&self, to: SocketAddr) -> TestClient {
        self.start(to, None).await
    }

    pub(crate) async fn connect_with_code(&self, to: SocketAddr, number: &str) -> TestClient {
        let options = PairCodeOptions { phone_number: number.to_owned(), ..PairCodeOptions::default() };
        self.start(to, Some(options)).await
    }

    async fn start(&self, to: SocketAddr, code: Option<PairCodeOptions>) -> TestClient {
        let (sender, events) = mpsc::unbounded_channel();
        let mut builder = Bot::builder()
            .with_backend_arc(self.backend.clone())
            .with_transport_factory(ToSimulator(to))
            .with_http_client(NoHttp)
            .with_runtime(TokioRuntime)
            .with_version((2, 3000, 1_023_223_821))
            .with_push_name(self.name.as_str())
            .with_wanted_pre_key_count(PRE_KEYS)
            .with_event_handler(Forward(sender))
            .skip_history_sync();
        if let Some(options) = code {
            builder = builder.with_pair_code(options);
        }
        let bot = builder.build().await.expect("a client");
        let client = bot.client();
        TestClient { handle: bot.spawn(), client, events, seen: Vec::new(), store: self.clone() }
    }
}

pub(crate) struct TestClient {
    pub(crate) client: Arc<Client>,
    handle: BotHandle,
    events: mpsc::UnboundedReceiver<Arc<Event>>,
    seen: Vec<Arc<Event>>,
    pub(crate) store: Store,
}

impl TestClient {
    /// The first event, past or to come, that `pick` takes. It is not taken out: it can be found again.
    pub(crate) async fn find<T>(&mut self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        if let Some(found) = self.seen.iter().find_map(|event| pick(event)) {
            return found;
        }
        let search = async {
            while let Some(event) = self.events.recv().await {
                let found = pick(&event);
                self.seen.push(event);
                if let Some(found) = found {
                    return found;
                }
            }
            panic!("the client has ended without {what}: {:?}", self.seen)
        };
        match tokio::time::timeout(DEADLINE, search).await {
            Ok(found) => found,
            Err(_) => panic!("no {what}; seen: {:?}", self.seen),
        }
    }

    /// Forgets the events so far, so that the next `find` looks at new ones.
    pub(crate) fn forget(&mut self) {
        while self.events.try_recv().is_ok() {}
        self.seen.clear();
    }

    pub(crate) fn count(&mut self, pick: impl Fn(&Event) -> bool) -> usize {
        while let Ok(event) = self.events.try_recv() {
            self.seen.push(event);
        }
        self.seen.iter().filter(|event| pick(event)).count()
    }

    pub(crate) async fn qr(&mut self) -> String {
        self.find("QR code", |event| match event {
            Event::PairingQrCode(qr) => Some(qr.code.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn code(&mut self) -> String {
        self.find("pairing code", |event| match event {
            Event::PairingCode(code) => Some(code.code.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn connected(&mut self) {
        self.find("Connected", |event| matches!(event, Event::Connected(_)).then_some(())).await;
    }

    pub(crate) async fn logged_out(&mut self) {
        self.find("LoggedOut", |event| matches!(event, Event::LoggedOut(_)).then_some(())).await;
    }

    /// The text of the message `id`, or of the first one.
    pub(crate) async fn message(&mut self, id: &str) -> Received {
        self.find("message", |event| match event {
            Event::Messages(batch) => batch.messages.iter().find_map(|inbound| {
                let info = &inbound.info;
                (info.id == id).then(|| Received {
                    text: text(&inbound.message),
                    chat: info.source.chat.to_string(),
                    sender: info.source.sender.to_string(),
                    offline: info.is_offline,
                })
            }),
            _ => None,
        })
        .await
    }

    /// The server's word on a message: none, or the error.
    pub(crate) async fn ack(&mut self, id: &str) -> Option<String> {
        self.find("ack", |event| match event {
            Event::ServerAck(ack) if ack.class.as_deref() == Some("message") && ack.id == id => Some(ack.error.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn receipt(&mut self, id: &str, kind: ReceiptType, from: &str) {
        self.find("receipt", |event| match event {
            Event::Receipt(receipt) => {
                let named = receipt.message_ids.iter().any(|known| *known == id);
                let sender = receipt.source.sender.to_string();
                (named && receipt.r#type == kind && sender.starts_with(from)).then_some(())
            }
            _ => None,
        })
        .await;
    }

    pub(crate) async fn send(&self, to: &str, text: &str) -> String {
        let to: Jid = to.parse().expect("an address");
        let sent = tokio::time::timeout(DEADLINE, self.client.send_text(to, text)).await;
        sent.expect("sent in time").expect("sent").message_id
    }

    pub(crate) async fn send_as(&self, to: &str, text: &str, id: &str) {
        let to: Jid = to.parse().expect("an address");
        let message = wa::Message { conversation: Some(text.to_owned()), ..Default::default() };
        let options = SendOptions::default().with_message_id(id.to_owned());
        self.client.send_message_with_options(to, message, options).await.expect("sent");
    }

    /// Ends the client; its keys stay in the store.
    pub(crate) async fn stop(self) -> Store {
        self.handle.shutdown().await;
        self.store
    }
}

pub(crate) struct Received {
    pub(crate) text: String,
    pub(crate) chat: String,
    pub(crate) sender: String,
    pub(crate) offline: bool,
}

fn text(message: &wa::Message) -> String {
    message.conversation.clone().unwrap_or_else(|| {
        let extended = message.extended_text_message.as_option();
        extended.and_then(|e| e.text.clone()).unwrap_or_default()
    })
}
