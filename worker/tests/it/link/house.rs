//! A simulator, a database, and a worker's link side, as the tests use them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::id::AccountId;
use serde_json::{Value, json};
use simulator::Simulator;
use sqlx::PgPool;
use store::seal::Sealer;
use store::{Fence, Store};
use tokio::time::timeout;
use worker::link::whatsapp::version::WebVersion;
use worker::link::whatsapp::{Settings, WhatsApp};
use worker::link::{CloseReason, Connector, Delivery, Link, LinkEvent, LinkInbox, MayAct, OpenSpec, channel};

/// Longest that anything here may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// One simulator, one database.
pub(super) struct House {
    pub(super) simulator: Simulator,
    pub(super) pool: PgPool,
    pub(super) store: Store,
    http: reqwest::Client,
}

/// One account's link and what it says.
pub(super) struct Line {
    pub(super) link: Arc<dyn Link>,
    pub(super) inbox: LinkInbox,
}

impl House {
    pub(super) async fn new(pool: PgPool) -> Self {
        let simulator = simulator::start(simulator::Config::default()).await.unwrap();
        let store = Store::from(pool.clone());
        Self { simulator, pool, store, http: reqwest::Client::new() }
    }

    /// An account with a claimed lease.
    pub(super) async fn account(&self) -> Fence {
        let (tenant, account) = (uuid::Uuid::now_v7(), AccountId::new());
        sqlx::query("INSERT INTO tenants (id, name) VALUES ($1, 't')").bind(tenant).execute(&self.pool).await.unwrap();
        sqlx::query("INSERT INTO accounts (id, tenant_id, label) VALUES ($1, $2, 'Front desk')")
            .bind(account.0)
            .bind(tenant)
            .execute(&self.pool)
            .await
            .unwrap();
        sqlx::query("INSERT INTO leases (account_id, epoch) VALUES ($1, 1)")
            .bind(account.0)
            .execute(&self.pool)
            .await
            .unwrap();
        Fence { account, epoch: 1 }
    }

    /// Another owner claims the account.
    pub(super) async fn claim(&self, fence: Fence) -> Fence {
        let epoch = sqlx::query_scalar("UPDATE leases SET epoch = epoch + 1 WHERE account_id = $1 RETURNING epoch")
            .bind(fence.account.0)
            .fetch_one(&self.pool)
            .await
            .unwrap();
        Fence { epoch, ..fence }
    }

    /// A connector as a worker has one; each call is another worker.
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
        let spec = OpenSpec { fence, generation: 7, label: "Front desk".to_owned(), may_act: MayAct::always() };
        Line { link: self.worker().open(spec, events).await.unwrap(), inbox }
    }

    /// Pairs an account with the phone of this number, and opens the link that comes after.
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
        let url = format!("{}/mock-phone/scan-qr?phone={number}", self.simulator.admin_url());
        let answer = self.http.post(url).body(code.to_owned()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.simulator.admin_url());
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.simulator.admin_url());
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    pub(super) async fn fault(&self, kind: &str, number: &str, code: Option<u16>) {
        let mut order = json!({ "kind": kind, "target": { "number": number } });
        if let Some(code) = code {
            order["code"] = code.into();
        }
        self.post("/faults", order).await;
    }

    /// The bubbles that a phone shows under an id, once there is one.
    pub(super) async fn bubbles(&self, number: &str, id: &str) -> Vec<Value> {
        let look = async {
            loop {
                let inbox = self.get(&format!("/phones/{number}/inbox")).await;
                let found: Vec<Value> = inbox.as_array().unwrap().iter().filter(|b| b["id"] == id).cloned().collect();
                if !found.is_empty() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, look).await.expect("the message never arrived")
    }
}

impl Line {
    /// The next event that `pick` wants; inbound messages that it does not want are confirmed and passed over.
    pub(super) async fn find<T>(&mut self, what: &str, pick: impl Fn(&LinkEvent) -> Option<T>) -> T {
        let look = async {
            loop {
                let Delivery { generation, event, commit } = self.inbox.recv().await.expect("the link is gone");
                assert_eq!(generation, 7);
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
