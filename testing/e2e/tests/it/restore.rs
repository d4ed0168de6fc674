//! A backup of Postgres is restored into a new cluster whose transactions are counted from the start, beside an empty
//! Redis. Everything goes on. `docs/operate.md` has the recipe, and `dev/restore` measures its duration.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use e2e::Cluster;
use kit::{DEADLINE, until};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, PgPool};

use crate::receiver::Receiver;

/// A new Postgres for this test. It ends when this value is dropped.
struct Anew(PathBuf);

impl Anew {
    fn start() -> Self {
        let name = format!("restore-{}", uuid::Uuid::new_v4().simple());
        let anew = Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
        anew.servers(&["up"]);
        anew
    }

    /// Runs `dev/servers` for it and returns what that prints.
    fn servers(&self, words: &[&str]) -> String {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../dev/servers"));
        command
            .args(words)
            .env("SWITCHBOARD_DATA", &self.0)
            .env_remove("DATABASE_URL")
            .env_remove("SWITCHBOARD_PG_PORT");
        let done = command.env("REDIS_URL", "redis://127.0.0.1:1").output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    fn url(&self) -> String {
        let env = self.servers(&["env"]);
        let url = env.lines().find_map(|line| line.strip_prefix("DATABASE_URL='")).unwrap();
        url.trim_end_matches('\'').to_owned()
    }
}

impl Drop for Anew {
    fn drop(&mut self) {
        self.servers(&["purge"]);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A live stream of all events, from a position on if one is given.
struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(cluster: &Cluster, last: Option<&str>) -> Self {
        let mut request = cluster.request("/v1/events");
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        Self { response: request.send().await.unwrap(), text: String::new() }
    }

    /// Reads until there is an event of this kind about this message. Returns all events as `(id, kind, data)`.
    async fn until(&mut self, kind: &str, message: &str) -> Vec<(String, String, Value)> {
        loop {
            let (whole, _) = self.text.rsplit_once("\n\n").unwrap_or_default();
            let events: Vec<_> = whole.split("\n\n").filter_map(event).collect();
            if events.iter().any(|(_, k, data)| k == kind && data["data"]["message_id"] == message) {
                return events;
            }
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("waited in vain for {kind}: {events:?}")).unwrap();
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }
}

fn event(text: &str) -> Option<(String, String, Value)> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Some((field("id")?.to_owned(), field("event")?.to_owned(), serde_json::from_str(field("data")?).ok()?))
}

/// What a webhook received about messages, as `kind message`, sorted. Repeated posts of one delivery count once.
fn told(receiver: &Receiver) -> Vec<String> {
    let mut told: Vec<(String, String)> = receiver
        .received()
        .iter()
        .map(|request| {
            let body = request.json();
            let (kind, message) =
                (body["kind"].as_str().unwrap().to_owned(), body["data"]["message_id"].as_str().unwrap_or_default());
            (request.header("webhook-id").to_owned(), format!("{kind} {message}"))
        })
        .collect();
    told.sort();
    told.dedup();
    let mut told: Vec<String> = told.into_iter().map(|(_, what)| what).collect();
    told.sort();
    told
}

/// R01, R03, R04, R63: a dump is restored into a new cluster. Accounts come back without a new code, a queued message
/// goes out once, and the reminder fires once. The webhook gets its pending deliveries and new events. Streams go on
/// after their last position, even if that event happened after the dump.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn everything_goes_on_after_a_restore(pool: PgPool) {
    let (mut cluster, mut workers) = Cluster::start(pool.clone(), 1).await;
    // the tests' server may be young; this puts its transaction count ahead of the new one
    let ahead = "DO $$ BEGIN FOR n IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$";
    sqlx::raw_sql(ahead).execute(&pool).await.unwrap();
    let receiver = Receiver::start(&[]).await;
    let kinds = json!(["message.read", "reminder.fired"]);
    cluster.post("/v1/webhooks", json!({"url": receiver.url(), "kinds": kinds})).await;
    let (account, own) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let first = cluster.send(&account, &bob, "seen before").await;
    cluster.message(&first, "read").await;
    let mut stream = Stream::open(&cluster, Some("0-0")).await;
    let seen = stream.until("message.read", &first).await.last().unwrap().0.clone();
    until("its delivery", async || (!receiver.received().is_empty()).then_some(())).await;
    receiver.hold();
    let second = cluster.send(&account, &bob, "on its way to the webhook").await;
    cluster.message(&second, "read").await;
    workers.remove(0).stop().await;
    let third = cluster.send(&account, &bob, "queued").await;
    let soon = (chrono::Utc::now() + Duration::from_secs(25)).to_rfc3339();
    let wish = json!({"name": "Stand-up", "account_id": account, "messages": ["reminded"], "targets": [bob], "start": soon,
        "timezone": "UTC"});
    cluster.post("/v1/reminders", wish).await;

    let dump = std::env::temp_dir().join(format!("switchboard-{}.dump", uuid::Uuid::new_v4().simple()));
    let mut url = pool.connect_options().to_url_lossy();
    url.set_query(None); // only sqlx understands these parameters
    let file = dump.to_str().unwrap().to_owned();
    let anew = tokio::task::spawn_blocking(move || {
        let anew = Anew::start();
        anew.servers(&["tool", "pg_dump", "-Fc", "-f", &file, url.as_str()]);
        anew
    })
    .await
    .unwrap();
    // what happens from here on is not in the dump, but a stream saw it
    let other = cluster.account("Lost").await;
    cluster.post(&format!("/v1/accounts/{other}/pair"), json!({})).await;
    let lost = until("the lost event", async || {
        let told = "SELECT txid || '-' || id FROM events WHERE account_id::text = $1";
        sqlx::query_scalar::<_, String>(told).bind(&other).fetch_optional(&pool).await.unwrap()
    })
    .await;
    for part in std::mem::take(&mut cluster.parts) {
        part.stop().await;
    }

    let (anew, url) = tokio::task::spawn_blocking(move || {
        let url = anew.url();
        anew.servers(&["tool", "pg_restore", "--no-owner", "--exit-on-error", "-d", &url, dump.to_str().unwrap()]);
        std::fs::remove_file(dump).unwrap();
        (anew, url)
    })
    .await
    .unwrap();
    let restored = PgPool::connect(&url).await.unwrap();
    let young = "SELECT pg_current_xact_id()::text::bigint < (SELECT min(txid::text::bigint) FROM events)";
    assert!(sqlx::query_scalar::<_, bool>(young).fetch_one(&restored).await.unwrap(), "it would have gone on anyway");
    cluster.move_to(restored.clone()).await;
    let worker = cluster.worker();
    cluster.status(&account, "connected").await;
    receiver.answer();

    let inbox = cluster.shows(&bob, &["queued", "reminded"]).await;
    assert_eq!(inbox.len(), 4, "{inbox:?}");
    assert!(inbox.iter().all(|m| m["times_arrived"] == 1), "{inbox:?}");
    let fourth = cluster.send(&account, &bob, "afterwards").await;
    cluster.message(&fourth, "read").await;
    let audit = cluster.admin(Method::GET, &format!("/audit?number={own}"), None).await;
    assert_eq!(audit["devices"].as_array().unwrap().len(), 1, "no phone was linked anew");
    assert_eq!(cluster.overlaps().await, 0);

    let events = Stream::open(&cluster, Some(&seen)).await.until("message.read", &fourth).await;
    let read: Vec<_> =
        events.iter().filter(|(_, kind, _)| kind == "message.read").map(|e| &e.2["data"]["message_id"]).collect();
    assert_eq!(read.len(), 4, "the second, the queued one, the reminder's and the last: {events:?}");
    assert!([&second, &third, &fourth].iter().all(|message| read.contains(&&json!(message))), "{events:?}");
    let events = Stream::open(&cluster, Some(&lost)).await.until("message.read", &fourth).await;
    let kinds: Vec<_> = events.iter().map(|(_, kind, _)| kind.as_str()).collect();
    assert!(kinds.contains(&"reminder.fired"), "it fired after the restore: {kinds:?}");
    assert!(!events.iter().any(|e| e.2["data"]["message_id"] == json!(second)), "that was before: {events:?}");

    let wanted = 6; // four texts and the reminder's were read, and the reminder fired
    let told = until("the webhook's rest", async || Some(told(&receiver)).filter(|told| told.len() >= wanted)).await;
    assert_eq!(told.len(), wanted, "{told:?}");
    assert_eq!(told.iter().filter(|what| what.starts_with("message.read")).count(), 5, "{told:?}");
    for message in [&first, &second, &third, &fourth] {
        assert!(told.contains(&format!("message.read {message}")), "{told:?}");
    }
    assert_eq!(cluster.call(Method::GET, &format!("/v1/accounts/{other}"), None).await.0, StatusCode::NOT_FOUND);
    cluster.stop(vec![worker]).await;
    restored.close().await;
    drop(anew);
}
