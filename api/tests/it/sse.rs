//! The live stream.

use std::time::{Duration, Instant};

use domain::event::{self, SessionRecovered};
use domain::id::AccountId;
use futures::StreamExt as _;
use kit::redis_url;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use store::Store;
use store::events::Events;

use crate::test_api::{Gateway, TestApi};

/// Reads a stream event by event.
struct Stream {
    bytes: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    buffer: String,
}

#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Stream {
    async fn open(client: &Gateway, path: &str, last_event_id: Option<&str>) -> Self {
        let mut request = client.request(Method::GET, path);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        Self { bytes: Box::pin(response.bytes_stream()), buffer: String::new() }
    }

    async fn next(&mut self) -> Event {
        let event = tokio::time::timeout(Duration::from_secs(8), self.read()).await;
        event.expect("an event in time").expect("an open stream")
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) =
                self.buffer.split_once("\n\n").map(|(block, rest)| (block.to_owned(), rest.to_owned()))
            {
                self.buffer = rest;
                let field =
                    |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim().to_owned();
                if !field("event:").is_empty() {
                    let data = serde_json::from_str(&field("data:")).unwrap();
                    return Some(Event { id: field("id:"), name: field("event:"), data });
                }
            }
            self.buffer.push_str(std::str::from_utf8(&self.bytes.next().await?.ok()?).unwrap());
        }
    }
}

/// R63: a change of status reaches the stream at once, and says what changed.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_change_arrives_at_once(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, stranger) = (api.tenant().await, api.tenant().await);
    let id = tenant.account("Sales").await;
    let mut stream = Stream::open(&tenant, "/v1/events", None).await;
    assert_eq!(stream.next().await.name, "stream.opened");
    let foreign = stranger.account("Foreign").await;
    stranger.post_empty(&format!("/v1/accounts/{foreign}/pair")).await.expect(202);
    let started = Instant::now();
    tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(202);
    let event = stream.next().await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!((event.name.as_str(), &event.data["id"]), ("account.status_changed", &json!(event.id)));
    assert_eq!(event.data["account_id"], json!(id));
    assert_eq!(
        event.data["data"],
        json!({"account_id": id, "status": "pending", "previous": "unpaired", "reason": null})
    );
}

/// R30, R63: what happened while nobody listened is told after `Last-Event-ID`, in order, each once.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_reconnect_misses_nothing(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    let mut stream = Stream::open(&tenant, "/v1/events", None).await;
    let opened = stream.next().await;
    drop(stream);
    for _ in 0..60 {
        tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(202);
        tenant.post_empty(&format!("/v1/accounts/{id}/unpair")).await.expect(200);
    }
    let mut stream = Stream::open(&tenant, "/v1/events", Some(&opened.id)).await;
    assert_eq!(stream.next().await.name, "stream.opened");
    let mut ids = Vec::new();
    for number in 0..120 {
        let event = stream.next().await;
        let expected = if number % 2 == 0 { "pending" } else { "unpaired" };
        assert_eq!(event.data["data"]["status"], expected, "{number}");
        ids.push(event.id);
    }
    let mut again = Stream::open(&tenant, &format!("/v1/events?last_event_id={}", ids[100]), None).await;
    again.next().await;
    assert_eq!(again.next().await.id, ids[101]);
}

/// What a worker may tell of an account.
fn recovered(tenant: &Gateway) -> Events {
    let account_id = AccountId::new();
    let event = event::Event::SessionRecovered(SessionRecovered { account_id, restarts: 5 });
    Events::one(tenant.tenant.unwrap(), Some(account_id), &event)
}

/// R63: an event that commits late is told late, never left out: the stream waits for older transactions.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_late_commit_is_not_left_out(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    let mut stream = Stream::open(&tenant, "/v1/events", None).await;
    stream.next().await;
    let mut late = api.db.begin().await.unwrap();
    recovered(&tenant).write(&mut late).await.unwrap();
    tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(202);
    let early = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
    assert!(early.is_err(), "{early:?}");
    late.commit().await.unwrap();
    assert_eq!(stream.next().await.name, "session.recovered");
    assert_eq!(stream.next().await.name, "account.status_changed");
}

/// R63: one account's events alone, if asked for.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stream_can_follow_one_account(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let (one, two) = (tenant.account("1").await, tenant.account("2").await);
    let mut stream = Stream::open(&tenant, &format!("/v1/events?account_id={two}"), None).await;
    stream.next().await;
    tenant.post_empty(&format!("/v1/accounts/{one}/pair")).await.expect(202);
    tenant.delete(&format!("/v1/accounts/{two}")).await.expect(204);
    let event = stream.next().await;
    assert_eq!((event.name.as_str(), &event.data["account_id"]), ("account.deleted", &json!(two)));
}

/// R44, R63: an edit, and a delete, that end a run wake the stream.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_edit_wakes_the_stream(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    let wish = json!({"account_id": account, "name": "Stand-up", "messages": ["one"], "targets": ["1@g.us"],
        "start": "2190-01-04T09:00", "timezone": "UTC", "recurrence": {"kind": "daily"}});
    let id = tenant.post("/v1/reminders", wish.clone()).await.expect(201).id();
    let path = format!("/v1/reminders/{id}");
    let mut stream = Stream::open(&tenant, "/v1/events", None).await;
    stream.next().await;
    for change in ["edit", "delete"] {
        sqlx::query(
            "INSERT INTO runs (id, tenant_id, reminder_id, account_id, reminder_name, account_label, version, fire_at, bodies)
             SELECT gen_random_uuid(), tenant_id, id, account_id, name, 'Sales', version, clock_timestamp(), '{one}' FROM reminders",
        )
        .execute(&api.db)
        .await
        .unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await; // the stream has looked, and waits to be woken
        let started = Instant::now();
        match change {
            "edit" => drop(tenant.patch(&path, json!({"messages": ["two"]})).await.expect(200)),
            _ => drop(tenant.delete(&path).await.expect(204)),
        }
        let event = stream.next().await;
        assert_eq!(
            (event.name.as_str(), &event.data["data"]["status"]),
            ("run.changed", &json!("canceled")),
            "{change}"
        );
        assert!(started.elapsed() < Duration::from_secs(4), "{change}: {:?}", started.elapsed());
    }
}

/// R75: a revoked key is out within five seconds, also when its stream has something to tell all the time: it ends with a word.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_revoked_key_loses_its_busy_stream(db: PgPool) {
    let api = TestApi::start(db).await;
    let (admin, tenant) = (api.admin().await, api.tenant().await);
    let path = format!("/v1/tenants/{}/keys", tenant.tenant.unwrap());
    let other = admin.post(&path, json!({"name": "other"})).await.expect(201).json();
    let other = api.client(other["secret"].as_str().unwrap());
    let account = tenant.account("Sales").await;
    let mut stream = Stream::open(&tenant, "/v1/events", None).await;
    stream.next().await;
    let busy = tokio::spawn(async move {
        loop {
            other.post(&format!("/v1/accounts/{account}/pair"), json!({"method": "qr"})).await.expect(202);
        }
    });
    assert_eq!(stream.next().await.name, "account.status_changed");
    let keys = admin.get(&path).await.expect(200).json();
    let own = keys["data"].as_array().unwrap().iter().find(|key| key["name"] != "other").unwrap();
    admin.delete(&format!("{path}/{}", own["id"].as_str().unwrap())).await.expect(204);
    let start = Instant::now();
    let last = loop {
        let event = stream.next().await;
        if event.name == "stream.closed" {
            break event;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "the stream goes on");
    };
    assert_eq!(last.data, json!({"reason": "the key was revoked"}));
    let ended = tokio::time::timeout(Duration::from_secs(2), stream.read()).await;
    assert_eq!(ended.expect("it ends"), None);
    busy.abort();
}

/// R94: a position that can't be honoured is told: after a removal by 410, with the oldest from which everything is kept, and by
/// 422 when no event has it yet.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_position_that_is_worth_nothing_is_told(db: PgPool) {
    let store = Store::from(db.clone());
    let api = TestApi::start(db.clone()).await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    let mut stream = Stream::open(&tenant, "/v1/events", None).await;
    let first = stream.next().await.id;
    for (step, status) in [("pair", 202), ("unpair", 200), ("pair", 202)] {
        tenant.post_empty(&format!("/v1/accounts/{id}/{step}")).await.expect(status);
    }
    let [seen, second, last] = [stream.next().await.id, stream.next().await.id, stream.next().await.id];
    // all but the last are removed
    sqlx::query("UPDATE events SET created_at = now() - interval '8 days' WHERE id < (SELECT max(id) FROM events)")
        .execute(&db)
        .await
        .unwrap();
    let week = Duration::from_hours(7 * 24);
    store::events::prune(store.for_all_tenants(), week, 100).await.unwrap().quietly();
    let path = |position: &str| format!("/v1/events?last_event_id={position}");
    let gone = tenant.get(&path(&first)).await.expect(410).json();
    assert_eq!(gone["type"], "urn:switchboard:problem:gone", "{gone}");
    let oldest = gone["oldest"].as_str().unwrap().to_owned();
    assert_eq!(oldest, second);
    assert_eq!(tenant.get(&path(&seen)).await.expect(410).json()["oldest"], oldest.as_str());
    let mut again = Stream::open(&tenant, &path(&oldest), None).await;
    assert_eq!(again.next().await.name, "stream.opened");
    assert_eq!(again.next().await.id, last, "nothing from there on is missing");
    // the rest too: a stream that begins at the end can be resumed there
    sqlx::query("UPDATE events SET created_at = now() - interval '8 days'").execute(&db).await.unwrap();
    store::events::prune(store.for_all_tenants(), week, 100).await.unwrap().quietly();
    let end = Stream::open(&tenant, "/v1/events", None).await.next().await.id;
    assert_eq!(end, last);
    Stream::open(&tenant, &path(&end), None).await.next().await;
    let (txid, id) = end.split_once('-').unwrap();
    let ahead = format!("{}-{id}", txid.parse::<i64>().unwrap() + 1_000_000);
    assert_eq!(tenant.get(&path(&ahead)).await.expect(422).fields(), ["last_event_id"]);
}

/// R63: without Redis the rows are still told, from this process's own signals.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn without_redis_the_stream_goes_on(db: PgPool) {
    let api = TestApi::start_with_redis(db, "redis://127.0.0.1:1").await;
    let tenant = api.tenant().await;
    let id = tenant.account("Sales").await;
    let mut stream = Stream::open(&tenant, "/v1/events", None).await;
    stream.next().await;
    tenant.post_empty(&format!("/v1/accounts/{id}/pair")).await.expect(202);
    assert_eq!(stream.next().await.name, "account.status_changed");
}

/// R63: a signal of another process wakes the stream through Redis.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn another_process_wakes_the_stream(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let mut stream = Stream::open(&tenant, "/v1/events", None).await;
    stream.next().await;
    let worker = bells::bus::Bus::connect(&redis_url(), &api.redis_prefix).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await; // let the stream's first look and subscription settle
    for number in 0..3 {
        recovered(&tenant).write(&mut api.db.acquire().await.unwrap()).await.unwrap();
        let started = Instant::now();
        worker.signal(tenant.tenant.unwrap());
        assert_eq!(stream.next().await.name, "session.recovered");
        assert!(started.elapsed() < Duration::from_secs(4), "{number}: {:?}", started.elapsed());
    }
}

/// Stands between the api and Redis, so that a test can cut their connections.
async fn proxy() -> (String, tokio::sync::watch::Sender<()>) {
    let target = redis_url().trim_start_matches("redis://").trim_end_matches('/').to_owned();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (cut, cuts) = tokio::sync::watch::channel(());
    tokio::spawn(async move {
        loop {
            let (mut inward, _) = listener.accept().await.unwrap();
            let (target, mut cuts) = (target.clone(), cuts.clone());
            cuts.mark_unchanged();
            tokio::spawn(async move {
                let mut outward = tokio::net::TcpStream::connect(target).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut inward, &mut outward) => {}
                    _ = cuts.changed() => {}
                }
            });
        }
    });
    (url, cut)
}

/// R63: when Redis comes back the subscriptions do, and the rows are looked at, as signals were missed.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn signals_come_back_with_redis(db: PgPool) {
    let (url, cut) = proxy().await;
    let api = TestApi::start_with_redis(db, &url).await;
    let tenant = api.tenant().await;
    let mut stream = Stream::open(&tenant, "/v1/events", None).await;
    stream.next().await;
    for round in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cut.send(()).unwrap();
        recovered(&tenant).write(&mut api.db.acquire().await.unwrap()).await.unwrap();
        let started = Instant::now();
        assert_eq!(stream.next().await.name, "session.recovered");
        assert!(started.elapsed() < Duration::from_secs(6), "{round}: {:?}", started.elapsed());
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_no_event_id_is_refused(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    assert_eq!(tenant.get("/v1/events?last_event_id=x").await.expect(422).fields(), ["last_event_id"]);
    assert_eq!(tenant.get("/v1/events?account_id=x").await.expect(422).fields(), ["account_id"]);
    api.anonymous().get("/v1/events").await.expect(401);
}
