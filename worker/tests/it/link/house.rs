//! A simulator, a database, and the link side of a worker.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit::{Phones, rows, until};
use reqwest::Method;
use serde_json::{Value, json};
use simulator::Simulator;
use sqlx::PgPool;
use store::seal::Sealer;
use store::{Fence, Store};
use tokio::time::timeout;
use worker::link::whatsapp::version::WebVersion;
use worker::link::whatsapp::{Settings, WhatsApp};
use worker::link::{CloseReason, Connector, Delivery, Link, LinkEvent, LinkInbox, MayAct, OpenSpec, channel};

/// The longest time for anything here.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// One simulator and one database.
pub(super) struct House {
    pub(super) simulator: Simulator,
    pub(super) pool: PgPool,
    pub(super) store: Store,
    phones: Phones,
}

/// An account's link and its events.
pub(super) struct Line {
    pub(super) link: Arc<dyn Link>,
    pub(super) inbox: LinkInbox,
}

impl House {
    pub(super) async fn new(pool: PgPool) -> Self {
        let simulator = simulator::start(simulator::Config::default()).await.unwrap();
        let (store, phones) = (Store::from(pool.clone()), Phones::new(&simulator.admin_url()));
        Self { simulator, pool, store, phones }
    }

    /// An account with a claimed lease.
    pub(super) async fn account(&self) -> Fence {
        rows::claimed(&self.pool).await
    }

    /// Makes another owner claim the account.
    pub(super) async fn claim(&self, fence: Fence) -> Fence {
        let epoch = sqlx::query_scalar("UPDATE leases SET epoch = epoch + 1 WHERE account_id = $1 RETURNING epoch")
            .bind(fence.account.0)
            .fetch_one(&self.pool)
            .await
            .unwrap();
        Fence { epoch, ..fence }
    }

    /// A connector like a worker's. Each call is another worker.
    pub(super) fn worker(&self) -> WhatsApp {
        let keys = format!("a:{}", STANDARD.encode([7; 32]));
        let settings = Settings {
            url: self.simulator.ws_url(),
            version: WebVersion::fixed((2, 3000, 1_042_742_319)),
            pre_keys: 20,
        };
        WhatsApp::new(self.store.clone(), Arc::new(Sealer::parse(&keys).unwrap()), settings).unwrap()
    }

    /// Opens a link in a new worker.
    pub(super) async fn open(&self, fence: Fence) -> Line {
        let (events, inbox) = channel();
        let spec = OpenSpec { fence, serial: 7, label: "Front desk".to_owned(), may_act: MayAct::always() };
        Line { link: self.worker().open(spec, events).await.unwrap(), inbox }
    }

    /// Pairs an account with the phone of this number, and opens the next link.
    pub(super) async fn linked(&self, number: &str) -> (Fence, Line) {
        let fence = self.account().await;
        let mut line = self.open(fence).await;
        let code = line.qr().await;
        self.scan(number, &code).await;
        assert_eq!(line.closed().await, CloseReason::RestartRequired);
        let mut line = self.open(fence).await;
        line.connected().await;
        (fence, line)
    }

    pub(super) async fn scan(&self, number: &str, code: &str) {
        self.phones.scan(number, code).await.unwrap().success().unwrap();
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        self.phones.call(Method::GET, path, None).await.unwrap()
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Value {
        self.phones.call(Method::POST, path, Some(body)).await.unwrap()
    }

    pub(super) async fn fault(&self, kind: &str, number: &str, code: Option<u16>) {
        let mut order = json!({ "kind": kind, "target": { "number": number } });
        if let Some(code) = code {
            order["code"] = code.into();
        }
        self.phones.fault(order).await.unwrap();
    }

    /// The bubbles that a phone shows with an id, as soon as there is one.
    pub(super) async fn bubbles(&self, number: &str, id: &str) -> Vec<Value> {
        until("the message", async || {
            let inbox = self.phones.inbox(number).await.unwrap();
            let found: Vec<Value> = inbox.into_iter().filter(|bubble| bubble["id"] == id).collect();
            (!found.is_empty()).then_some(found)
        })
        .await
    }
}

impl Line {
    /// Waits for an event that `pick` accepts. Other received messages are confirmed and skipped.
    pub(super) async fn find<T>(&mut self, what: &str, pick: impl Fn(&LinkEvent) -> Option<T>) -> T {
        let look = async {
            loop {
                let Delivery { serial, event, commit } = self.inbox.recv().await.expect("the link is gone");
                assert_eq!(serial, 7);
                if let Some(found) = pick(&event) {
                    if let Some(commit) = commit {
                        commit.confirm();
                    }
                    return found;
                }
                assert!(!matches!(event, LinkEvent::Closed(_)), "{event:?} instead of {what}");
                if let Some(commit) = commit {
                    commit.confirm();
                }
            }
        };
        timeout(DEADLINE, look).await.unwrap_or_else(|_| panic!("no {what}"))
    }

    pub(super) async fn qr(&mut self) -> String {
        self.find("QR code", |event| match event {
            LinkEvent::QrCode { code, .. } => Some(code.clone()),
            _ => None,
        })
        .await
    }

    pub(super) async fn connected(&mut self) -> String {
        self.find("Connected", |event| match event {
            LinkEvent::Connected { number, .. } => Some(number.clone()),
            _ => None,
        })
        .await
    }

    pub(super) async fn ack(&mut self, id: &str) -> Option<u16> {
        self.find("Ack", |event| match event {
            LinkEvent::Ack { whatsapp_id, error, .. } if whatsapp_id == id => Some(*error),
            _ => None,
        })
        .await
    }

    pub(super) async fn closed(&mut self) -> CloseReason {
        let reason = self
            .find("Closed", |event| match event {
                LinkEvent::Closed(reason) => Some(reason.clone()),
                _ => None,
            })
            .await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(self.inbox.try_recv().is_none(), "nothing comes after Closed");
        reason
    }
}
