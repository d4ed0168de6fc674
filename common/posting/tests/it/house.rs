//! Webhooks that are moved, over real rows, and receivers that answer as they are told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode};
use bells::bus::Bus;
use domain::id::{AccountId, TenantId, WebhookId, WorkerId};
use kit::{redis_prefix, redis_url, until_within};
use posting::http::Sender;
use posting::means::Means;
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, PgPool};
use store::workers::Boot;
use store::{Store, webhooks};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

/// Longest that anything here may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A worker that does nothing but move webhooks.
pub(crate) struct Mover {
    pub(crate) pool: PgPool,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    worker: WorkerId,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Mover {
    pub(crate) async fn start(pool: PgPool) -> Self {
        let url = pool.connect_options().to_url_lossy().to_string();
        Self::start_on(pool, &url).await
    }

    /// One that finds the database of `pool` at this URL.
    pub(crate) async fn start_on(pool: PgPool, url: &str) -> Self {
        let worker = WorkerId::new();
        let boot = Boot {
            name: "test",
            holds_name: false,
            version: "0",
            release: "1",
            capacity: 1_000,
            lease: Duration::from_secs(60),
        };
        store::workers::register(&pool, worker, boot).await.unwrap();
        let bus = Bus::connect(&redis_url(), &redis_prefix()).unwrap();
        // a pool as a worker has it: what is given up half-way does not come back
        let own = store::connect(url, 5).await.unwrap();
        let sender = Sender::new(crate::http::rules(&["127.0.0.0/8"])).unwrap();
        let means = Means::new(Store::from(own), bus.clone(), worker, sender);
        let stop = CancellationToken::new();
        let task = tokio::spawn(posting::keep(Arc::new(means), stop.clone()));
        let store = Store::from(pool.clone());
        Self { pool, store, bus, worker, stop, task }
    }

    pub(crate) async fn tenant(&self) -> TenantId {
        kit::rows::tenant(&self.pool).await
    }

    pub(crate) async fn webhook(&self, tenant: TenantId, receiver: &Receiver) -> WebhookId {
        webhooks::create(self.store.of(tenant), &receiver.url, &[], store::audit::Operator::System("test"))
            .await
            .unwrap()
            .0
            .id
    }

    /// These happen at one moment, in this order: account, kind, and a number to know each by.
    pub(crate) async fn happen(&self, tenant: TenantId, all: &[(Option<AccountId>, &str, usize)]) {
        let mut transaction = self.pool.begin().await.unwrap();
        for (account, kind, n) in all {
            kit::put_event(&mut transaction, tenant, *account, kind, &json!({"n": n})).await.unwrap();
        }
        transaction.commit().await.unwrap();
        self.bus.signal(tenant);
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }

    /// Waits until a query counts so many.
    pub(crate) async fn counts(&self, query: &'static str, count: i64) {
        until_within(DEADLINE, (count, query), async || (self.count(query).await == count).then_some(())).await;
    }

    /// Ends at once, and writes nothing more. Others see a worker that fell silent.
    pub(crate) async fn crash(self) {
        self.task.abort();
        drop(self.task.await);
        let silent = "UPDATE workers SET last_seen = now() - interval '1 hour' WHERE id = $1";
        sqlx::query(silent).bind(self.worker).execute(&self.pool).await.unwrap();
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

/// What a receiver does with a request.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    /// 200, this much later.
    Slow(Duration),
    Never,
}

/// A request, and the status that it was answered with; none: it was not answered at once.
pub(crate) type Received = (Value, Option<u16>);

/// Somebody else's server; it goes with this value.
pub(crate) struct Receiver {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    ids: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Receiver {
    /// A question whether it is there (HEAD) is answered with 200 where the answer to an event would be: by asking for one.
    pub(crate) async fn start(answer: impl FnMut(&Value) -> Answer + Send + 'static) -> Self {
        Self::start_with(None, answer).await
    }

    /// As [`Receiver::start`]; a question whether it is there is answered with this status, whatever becomes of events.
    pub(crate) async fn start_with_head(head: u16, answer: impl FnMut(&Value) -> Answer + Send + 'static) -> Self {
        Self::start_with(Some(head), answer).await
    }

    async fn start_with(head: Option<u16>, answer: impl FnMut(&Value) -> Answer + Send + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let (answer, book) = (Arc::new(Mutex::new(answer)), Arc::clone(&received));
        let ids = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&ids);
        let take = move |method: Method, headers: HeaderMap, body: String| {
            let is_question = method == Method::HEAD;
            let event: Value = if is_question { Value::Null } else { serde_json::from_str(&body).unwrap() };
            let answer = match head {
                Some(head) if is_question => Answer::Status(head),
                _ => answer.lock().unwrap()(&event),
            };
            let status = if let Answer::Status(status) = answer { Some(status) } else { None };
            if !is_question {
                seen.lock().unwrap().push(headers["webhook-id"].to_str().unwrap().to_owned());
                book.lock().unwrap().push((event, status));
            }
            async move {
                match answer {
                    Answer::Status(_) => {}
                    Answer::Slow(wait) => tokio::time::sleep(wait).await,
                    Answer::Never => std::future::pending().await,
                }
                StatusCode::from_u16(status.unwrap_or(200)).unwrap()
            }
        };
        let router = Router::new().fallback(take);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }).abort_handle();
        Self { url, received, ids, task }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The `webhook-id` of each event that came.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.ids.lock().unwrap().clone()
    }

    /// Waits until so many requests that `which` is meant for have come, and answers how long it took.
    pub(crate) async fn got(&self, count: usize, which: impl Fn(&Value) -> bool) -> Duration {
        let start = Instant::now();
        let came = || self.received().iter().filter(|(event, _)| which(event)).count() >= count;
        until_within(DEADLINE, count, async || came().then_some(())).await;
        start.elapsed()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}
