//! A worker without its jobs. Rows and leases are real, and the test drives the links.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::fake::{FakeConnector, FakeLink};
use async_trait::async_trait;
use bells::bus::Bus;
use bells::doorbell::Doorbell;
use bells::lease::Leases;
use bells::limiter::Limiter;
use domain::id::{AccountId, MessageId, WorkerId};
use kit::{redis_prefix, redis_url, rows, until};
use process::clock::BootTime;
use sqlx::PgPool;
use store::workers::Boot;
use store::{Fence, Store};
use worker::context::Context;
use worker::fleet::trust::Trust;
use worker::link::{Connector, Link, LinkError, LinkEvent, LinkEvents, OpenSpec};
use worker::session::actor::{Actor, Orders};
use worker::session::machine::state::End;

/// The longest time for anything here.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Links that the test drives, and their channels of events. A link that was given up may still send events.
#[derive(Default)]
pub(crate) struct Switch {
    pub(crate) links: Arc<FakeConnector>,
    pub(crate) ways: Mutex<Vec<LinkEvents>>,
}

#[async_trait]
impl Connector for Switch {
    async fn open(&self, spec: OpenSpec, events: LinkEvents) -> Result<Arc<dyn Link>, LinkError> {
        self.ways.lock().unwrap().push(events.clone());
        self.links.open(spec, events).await
    }
}

pub(crate) struct House {
    pub(crate) pool: PgPool,
    pub(crate) switch: Arc<Switch>,
    pub(crate) context: Arc<Context>,
}

impl House {
    pub(crate) async fn new(pool: PgPool) -> Self {
        Self::with_leases_of(Duration::from_secs(60), pool).await
    }

    pub(crate) async fn with_leases_of(ttl: Duration, pool: PgPool) -> Self {
        let (url, prefix) = (redis_url(), redis_prefix());
        let worker = WorkerId::new();
        let boot = Boot { name: "test", holds_name: false, version: "0", release: "1", capacity: 1_000, lease: ttl };
        store::workers::register(&pool, worker, boot).await.unwrap();
        let store = Store::from(pool.clone());
        let switch = Arc::new(Switch::default());
        let context = Arc::new(Context {
            worker,
            store: store.clone(),
            keeping: store.clone(),
            leases: Leases::connect(&url, &prefix, worker, ttl).unwrap(),
            doorbell: Doorbell::connect(&url, &prefix).unwrap(),
            bus: Bus::connect(&url, &prefix).unwrap(),
            trust: Arc::new(Trust::new(ttl)),
            reachout_hold: Duration::from_secs(7),
            connector: Arc::clone(&switch) as Arc<dyn Connector>,
            unknown_key: worker::keys::UnknownKey::default(),
            opening: Arc::new(tokio::sync::Semaphore::new(32)),
            limiter: Limiter::connect(&url, &prefix, 100).unwrap(),
        });
        context.trust.renewed(BootTime::now());
        Self { pool, switch, context }
    }

    /// An account that was linked before and should be online, without an owner.
    pub(crate) async fn account(&self, number: u64) -> AccountId {
        let (number, jid) = (number.to_string(), format!("{number}:1@s.whatsapp.net"));
        let linked =
            rows::Account { number: Some(&number), jid: Some(&jid), epoch: 1, ..rows::Account::of("disconnected") };
        let (_, account) = rows::Account { label: "Ada", ..linked }.of_new_tenant(&self.pool).await;
        let device = "INSERT INTO credentials (account_id, kind, name, key_id, sealed) VALUES ($1, 1, '', 'a', '')";
        sqlx::query(device).bind(account).execute(&self.pool).await.unwrap();
        account
    }

    pub(crate) async fn message(&self, account: AccountId, chat: u64) -> MessageId {
        rows::Message { chat: &format!("{chat}@s.whatsapp.net"), age_s: 0.0 }.insert(&self.pool, account).await
    }

    pub(crate) async fn state(&self, message: MessageId) -> (String, Option<String>) {
        let row = "SELECT state, reason FROM messages WHERE id = $1";
        sqlx::query_as(row).bind(message.0).fetch_one(&self.pool).await.unwrap()
    }

    pub(crate) async fn attempts(&self, message: MessageId) -> i32 {
        let row = "SELECT attempts FROM messages WHERE id = $1";
        sqlx::query_scalar(row).bind(message.0).fetch_one(&self.pool).await.unwrap()
    }

    /// Starts a single session, under a claim of epoch 1.
    pub(crate) fn session(&self, account: AccountId) -> (Orders, tokio::task::JoinHandle<End>) {
        let orders = Orders::default();
        let actor = Actor::new(Arc::clone(&self.context), Fence { account, epoch: 1 }, orders.clone());
        (orders, tokio::spawn(actor.run()))
    }

    /// A session with one unanswered message.
    pub(crate) async fn on_its_way(&self) -> OnItsWay {
        let account = self.account(15_550_001).await;
        let message = self.message(account, 15_559_999).await;
        let (orders, session) = self.session(account);
        let link = self.online(0).await;
        assert_eq!(sent(&link, 1).await, [message.to_string()]);
        OnItsWay { account, message, orders, session, link }
    }

    /// Returns the link with this number after logging it in.
    pub(crate) async fn online(&self, nth: usize) -> Arc<FakeLink> {
        let link = until("a link", async || self.switch.links.links().get(nth).cloned()).await;
        link.emit(LinkEvent::Connected {
            number: "15550001".into(),
            jid: "15550001:1@s.whatsapp.net".into(),
            lid: None,
            push_name: "Ada".into(),
        });
        link
    }
}

/// A session that is online, with one message that was handed over and not answered.
pub(crate) struct OnItsWay {
    pub(crate) account: AccountId,
    pub(crate) message: MessageId,
    pub(crate) orders: Orders,
    pub(crate) session: tokio::task::JoinHandle<End>,
    pub(crate) link: Arc<FakeLink>,
}

pub(crate) async fn sent(link: &FakeLink, count: usize) -> Vec<String> {
    until("sends", async || Some(link.sent()).filter(|sent| sent.len() >= count)).await
}

pub(crate) fn ack(id: &str) -> LinkEvent {
    LinkEvent::Ack { whatsapp_id: id.to_owned(), error: None, at: None }
}
