//! Sessions on a real database and Redis, with links that the test drives.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use common::bus::Bus;
use common::clock::BootTime;
use common::doorbell::Doorbell;
use common::id::{AccountId, MessageId, WorkerId};
use common::lease::Leases;
use common::limiter::Limiter;
use common::ops::Pulse;
use common::store::Fence;
use common::store::workers::Boot;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use worker::context::Context;
use worker::link::fake::{Call, FakeConnector, FakeLink};
use worker::link::{CloseReason, Connector, Link, LinkError, LinkEvent, LinkEvents, OpenSpec, SendError};
use worker::session::actor::{Actor, Orders};
use worker::session::board::Board;
use worker::session::keeper;
use worker::session::state::End;
use worker::session::supervisor::{Knock, Stopped, Supervisor, Waits};
use worker::session::trust::Trust;

/// Longest that anything here may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Links that the test drives, and the way by which they speak: a link that was given up may speak still.
#[derive(Default)]
struct Switch {
    links: Arc<FakeConnector>,
    ways: Mutex<Vec<LinkEvents>>,
}

#[async_trait]
impl Connector for Switch {
    async fn open(&self, spec: OpenSpec, events: LinkEvents) -> Result<Arc<dyn Link>, LinkError> {
        self.ways.lock().unwrap().push(events.clone());
        self.links.open(spec, events).await
    }
}

struct House {
    pool: PgPool,
    switch: Arc<Switch>,
    context: Arc<Context>,
}

impl House {
    async fn new(pool: PgPool) -> Self {
        Self::with_leases_of(Duration::from_secs(60), pool).await
    }

    async fn with_leases_of(ttl: Duration, pool: PgPool) -> Self {
        let url = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
        let prefix = format!("test-{}:", uuid::Uuid::new_v4().simple());
        let worker = WorkerId::new();
        let boot = Boot { name: "test", version: "0", release: "1", capacity: 1_000 };
        common::store::workers::register(&pool, worker, boot).await.unwrap();
        let switch = Arc::new(Switch::default());
        let context = Arc::new(Context {
            worker,
            pool: pool.clone(),
            leases: Leases::connect(&url, &prefix, worker, ttl).unwrap(),
            doorbell: Doorbell::connect(&url, &prefix).unwrap(),
            bus: Bus::connect(&url, &prefix).unwrap(),
            board: Board::start(pool.clone()),
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

    /// An account that was linked before and should be online; nobody owns it.
    async fn account(&self, number: u64) -> AccountId {
        let (tenant, account) = (uuid::Uuid::now_v7(), AccountId::new());
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "INSERT INTO tenants (id, name) VALUES ('{tenant}', 't');
             INSERT INTO accounts (id, tenant_id, label, status, wanted, phone_number, jid)
             VALUES ('{account}', '{tenant}', 'Ada', 'disconnected', 'online', '{number}', '{number}:1@s.whatsapp.net');
             INSERT INTO credentials (account_id, kind, name, key_id, sealed) VALUES ('{account}', 1, '', 'a', '');
             INSERT INTO leases (account_id, epoch) VALUES ('{account}', 1)"
        )))
        .execute(&self.pool)
        .await
        .unwrap();
        account
    }

    async fn message(&self, account: AccountId, chat: u64) -> MessageId {
        let id = MessageId::new();
        let row = "INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id)
                   SELECT $1, tenant_id, id, $3, 'hello', $4 FROM accounts WHERE id = $2";
        let chat = format!("{chat}@s.whatsapp.net");
        sqlx::query(row).bind(id.0).bind(account.0).bind(chat).bind(id.to_string()).execute(&self.pool).await.unwrap();
        id
    }

    async fn state(&self, message: MessageId) -> (String, Option<String>) {
        let row = "SELECT state, reason FROM messages WHERE id = $1";
        sqlx::query_as(row).bind(message.0).fetch_one(&self.pool).await.unwrap()
    }

    /// Starts a session alone, as under a claim of epoch 1.
    fn session(&self, account: AccountId) -> (Orders, tokio::task::JoinHandle<End>) {
        let orders = Orders::default();
        let actor = Actor::new(Arc::clone(&self.context), Fence { account, epoch: 1 }, orders.clone());
        (orders, tokio::spawn(actor.run()))
    }

    /// The link with this running number, logged in.
    async fn online(&self, nth: usize) -> Arc<FakeLink> {
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

async fn until<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn sent(link: &FakeLink, count: usize) -> Vec<String> {
    until("sends", async || Some(link.sent()).filter(|sent| sent.len() >= count)).await
}

fn ack(id: &str) -> LinkEvent {
    LinkEvent::Ack { whatsapp_id: id.to_owned(), error: None, at: None }
}

/// R61: a session that is given back sends nothing new, waits for the acknowledgement of what is on its way, writes it, and
/// only then closes.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_release_waits_for_what_is_on_its_way(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let first = house.message(account, 15_559_999).await;
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    let ids = sent(&link, 1).await;
    orders.release.cancel();
    let second = house.message(account, 15_558_888).await;
    orders.look.notify_one();
    // the look is answered by a statement after this one; the session has heard of both by then
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!link.calls().contains(&Call::Close), "closed with a message on its way");
    link.emit(ack(&ids[0]));
    assert_eq!(session.await.unwrap(), End::Released);
    assert_eq!(house.state(first).await.0, "sent");
    assert_eq!(house.state(second).await.0, "queued");
    assert_eq!(link.sent().len(), 1);
    assert_eq!(link.calls().last(), Some(&Call::Close));
}

/// R61: the wait is bounded: without an acknowledgement the account is given back after three seconds, the row still queued.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_release_does_not_wait_for_ever(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let message = house.message(account, 15_559_999).await;
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    sent(&link, 1).await;
    let start = Instant::now();
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(2_900) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(house.state(message).await.0, "queued");
}

/// R27: what a connection that was given up still says changes nothing, and its acknowledgements count all the same.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn an_older_connection_is_not_heard(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let (orders, session) = house.session(account);
    house.online(0).await.end(CloseReason::Dropped("gone".into()));
    let link = house.online(1).await;
    until("connected", async || {
        let status = "SELECT status FROM accounts WHERE id = $1";
        let status: String = sqlx::query_scalar(status).bind(account.0).fetch_one(&house.pool).await.unwrap();
        (status == "connected").then_some(())
    })
    .await;
    let old = house.switch.ways.lock().unwrap()[0].sender(1);
    old.emit(LinkEvent::QrCode { code: "2@x".into(), lifetime: Duration::from_secs(60) });
    old.emit(LinkEvent::Paired { number: "1".into(), jid: "1:1@x".into(), lid: None, platform: "x".into() });
    old.emit(LinkEvent::Closed(CloseReason::LoggedOut { reason: "x".into() }));
    let message = house.message(account, 15_559_999).await;
    orders.look.notify_one();
    let ids = sent(&link, 1).await;
    house.switch.ways.lock().unwrap()[0].sender(1).emit(ack(&ids[0]));
    until("sent", async || (house.state(message).await.0 == "sent").then_some(())).await;
    assert_eq!(house.switch.links.links().len(), 2, "nothing was opened");
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
}

/// R02: an epoch that was raised meanwhile: the session's next write finds it, the connection is dropped, nothing is written.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_raised_epoch_ends_the_session(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let message = house.message(account, 15_559_999).await;
    let (_orders, session) = house.session(account);
    let link = house.online(0).await;
    let ids = sent(&link, 1).await;
    sqlx::query("UPDATE leases SET epoch = epoch + 1").execute(&house.pool).await.unwrap();
    link.emit(ack(&ids[0]));
    assert_eq!(session.await.unwrap(), End::Fenced);
    assert_eq!(house.state(message).await.0, "queued");
    assert_eq!(link.calls().last(), Some(&Call::Abort));
}

/// R36: a message that ends each connection without an outcome is given up after its fifth try, and says that it may have
/// arrived; the one behind it goes out.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_message_that_never_has_an_outcome_does_not_block_its_account(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let poison = house.message(account, 15_559_999).await;
    let behind = house.message(account, 15_559_999).await;
    let tried = "UPDATE messages SET attempts = 3 WHERE id = $1";
    sqlx::query(tried).bind(poison.0).execute(&house.pool).await.unwrap();
    let (orders, session) = house.session(account);
    for nth in 0..2 {
        assert_eq!(house.state(poison).await.0, "queued", "given up after {nth} more tries");
        let link = until("a link", async || house.switch.links.links().get(nth).cloned()).await;
        link.next_send(Err(SendError::Unknown("x".into())));
        house.online(nth).await;
        assert_eq!(sent(&link, 1).await, [poison.to_string()]);
    }
    let link = house.online(2).await;
    assert_eq!(sent(&link, 1).await, [behind.to_string()]);
    let (state, reason) = house.state(poison).await;
    assert_eq!(state, "failed");
    assert!(reason.is_some_and(|reason| reason.contains("may have arrived")));
    link.emit(ack(&behind.to_string()));
    until("sent", async || (house.state(behind).await.0 == "sent").then_some(())).await;
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
}

/// R36: a dead connection is no message's fault: where several wait for an answer, no try is counted.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_dead_connection_blames_no_message(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    for chat in 1..=3 {
        house.message(account, 15_559_990 + chat).await;
    }
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    sent(&link, 3).await;
    // no acknowledgement comes: the connection is given up, and all three go out again
    let again = house.online(1).await;
    sent(&again, 3).await;
    let counted: i64 = sqlx::query_scalar("SELECT sum(attempts) FROM messages").fetch_one(&house.pool).await.unwrap();
    assert_eq!(counted, 0);
    orders.fence.cancel();
    assert_eq!(session.await.unwrap(), End::Fenced);
}

/// R36: the reach-out time-lock (463) holds the account for as long as the worker was told to; nothing fails.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn the_hold_lasts_as_long_as_configured(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let message = house.message(account, 15_559_999).await;
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    let ids = sent(&link, 1).await;
    link.emit(LinkEvent::Ack { whatsapp_id: ids[0].clone(), error: Some(463), at: None });
    let left = until("a hold", async || {
        let left = "SELECT extract(epoch FROM held_until - now())::float8 FROM accounts WHERE held_until IS NOT NULL";
        sqlx::query_scalar::<_, f64>(left).fetch_optional(&house.pool).await.unwrap()
    })
    .await;
    assert!(left > 3.0 && left <= 7.0, "{left}");
    assert_eq!(sent(&link, 2).await[1], ids[0], "it goes out again, with the same id");
    assert_eq!(house.state(message).await.0, "queued");
    orders.fence.cancel();
    assert_eq!(session.await.unwrap(), End::Fenced);
}

/// Two hundred sessions under one supervisor, each with a message on its way.
async fn busy(house: &House) -> Supervisor {
    for number in 0..200 {
        let account = house.account(15_550_000 + number).await;
        house.message(account, 15_559_999).await;
    }
    let supervisor = Supervisor::new(Arc::clone(&house.context), 1_000);
    assert_eq!(supervisor.sweep().await, 200);
    for nth in 0..200 {
        let link = house.online(nth).await;
        sent(&link, 1).await;
    }
    supervisor
}

async fn owned(house: &House) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM leases WHERE owner IS NOT NULL").fetch_one(&house.pool).await.unwrap()
}

/// R61: a worker's sessions finish side by side: two hundred that wait three seconds each are done in a few.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn many_sessions_stop_side_by_side(pool: PgPool) {
    let house = House::new(pool).await;
    let supervisor = busy(&house).await;
    let start = Instant::now();
    assert_eq!(supervisor.stop(DEADLINE, &CancellationToken::new()).await, Stopped::InOrder);
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
    assert_eq!(owned(&house).await, 0);
    assert!(house.switch.links.links().iter().all(|link| link.is_over()));
}

/// R61: an order to stop at once, or the end of the stop's time, cuts every link off and gives every account back.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_stop_that_is_cut_short_gives_everything_back(pool: PgPool) {
    let house = House::new(pool).await;
    let supervisor = busy(&house).await;
    let at_once = CancellationToken::new();
    at_once.cancel();
    assert_eq!(supervisor.stop(DEADLINE, &at_once).await, Stopped::CutOff);
    assert_eq!(owned(&house).await, 0);
    assert!(house.switch.links.links().iter().all(|link| link.is_over()));
}

/// R02: a process that was frozen for longer than its trust ends its sessions before it renews, though both stores would
/// confirm them: a claim that began before its heartbeat may be under way. Then it claims anew.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_right_that_has_lapsed_is_not_resumed(pool: PgPool) {
    let house = House::with_leases_of(Duration::from_secs(3), pool).await;
    let account = house.account(15_550_001).await;
    let supervisor = Supervisor::new(Arc::clone(&house.context), 10);
    assert_eq!(supervisor.knock(account, Waits::Message).await, Knock::Claimed);
    let link = house.online(0).await;
    until("the end of trust", async || (!house.context.trust.holds(BootTime::now())).then_some(())).await;
    assert!(!link.is_over(), "nobody has noticed yet: the keeper does not run");

    let stop = CancellationToken::new();
    let keeper = keeper::keep(Arc::clone(&house.context), supervisor.clone(), Pulse::default(), stop.clone());
    let keeper = tokio::spawn(keeper);
    until("the end of the session", async || link.is_over().then_some(())).await;
    until("a new claim", async || (supervisor.sweep().await == 1).then_some(())).await;
    house.online(1).await;
    assert_eq!(supervisor.claims(), [(account, 3)], "under a new epoch");
    supervisor.stop(DEADLINE, &CancellationToken::new()).await;
    stop.cancel();
    keeper.await.unwrap();
}

/// R02: after the end of trust nothing is sent, whatever rings: the session ends, and the row waits for its next owner.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn nothing_is_sent_after_the_end_of_trust(pool: PgPool) {
    let house = House::with_leases_of(Duration::from_secs(6), pool).await;
    let account = house.account(15_550_001).await;
    let first = house.message(account, 15_559_999).await;
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    link.emit(ack(&sent(&link, 1).await[0]));
    until("an acknowledged message", async || (house.state(first).await.0 == "sent").then_some(())).await;
    until("the end of trust", async || (!house.context.trust.holds(BootTime::now())).then_some(())).await;
    let second = house.message(account, 15_559_999).await;
    orders.look.notify_one();
    assert_eq!(session.await.unwrap(), End::Fenced);
    assert_eq!(link.sent().len(), 1);
    assert!(link.is_over());
    assert_eq!(house.state(second).await.0, "queued");
}

/// R61: what a worker that leaves has freed is taken at the first knock, and what others than the fleet's last count knew of
/// within about a second: neither waits for the next look at the fleet or the next count.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_knock_is_not_refused_for_an_old_view_of_the_fleet(pool: PgPool) {
    let house = House::with_leases_of(Duration::from_mins(10), pool.clone()).await; // counts every 200 s
    let peer = WorkerId::new();
    let boot = Boot { name: "peer", version: "0", release: "1", capacity: 1_000 };
    common::store::workers::register(&pool, peer, boot).await.unwrap();
    let supervisor = Supervisor::new(Arc::clone(&house.context), 10);
    let (first, second) = (house.account(15_550_001).await, house.account(15_550_002).await);
    assert_eq!(supervisor.knock(first, Waits::Message).await, Knock::Claimed);
    assert_eq!(supervisor.knock(second, Waits::Message).await, Knock::NotMine, "the peer's share");

    let (third, _) = (house.account(15_550_003).await, house.account(15_550_004).await);
    let knock = async |account| supervisor.knock(account, Waits::Message).await == Knock::Claimed;
    until("a new count", async || knock(third).await.then_some(())).await;
    assert!(!knock(second).await, "the peer's share");
    common::store::workers::leaving(&pool, peer).await.unwrap();
    assert!(knock(second).await, "there is no peer any more");
    supervisor.stop(DEADLINE, &CancellationToken::new()).await;
}
