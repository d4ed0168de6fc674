//! One story from the request to the webhook, over three processes (R06).

use std::collections::{HashMap, HashSet};

use e2e::{Cluster, Part};
use kit::until;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::sink::{Seen, Sink};
use crate::receiver::Receiver;

/// The `traceparent` of a caller that traces.
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const CALLERS_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// A text that occurs nowhere else.
const TEXT: &str = "Your table for Grace Hopper is ready";

async fn traced(pool: PgPool, sink: &Sink, share: &str, parent: &str) -> (Cluster, Vec<Part>) {
    let telemetry = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url()),
        ("OTEL_TRACES_SAMPLER_ARG", share.to_owned()),
        ("TRACE_PARENT", parent.to_owned()),
    ];
    Cluster::start_with(pool, 1, &telemetry.each_ref().map(|(name, value)| (*name, value.as_str()))).await
}

/// A phone that receives messages but does not read them.
async fn phone(cluster: &Cluster) -> String {
    let number = cluster.number();
    let phone = json!({"number": number, "name": "Bob", "auto_receipts": "delivered"});
    cluster.admin(Method::POST, "/phones", Some(phone)).await;
    number
}

/// Creates a webhook for these kinds and a connected account. Returns them and the account's number. Waits until
/// earlier events are posted: a follower reads many events at once, and such a step belongs to the stories of all of
/// them.
async fn followed(cluster: &Cluster, receiver: &Receiver, kinds: &[&str]) -> (Value, String, String) {
    let kinds = [kinds, &["account.status_changed"]].concat();
    let hook = cluster.post("/v1/webhooks", json!({"url": receiver.url(), "kinds": kinds})).await;
    let (account, own) = cluster.connected("Ada").await;
    until("pending and connected", async || (receiver.received().len() >= 2).then_some(())).await;
    (hook, account, own)
}

/// Waits until events of these kinds have been posted.
async fn posted(receiver: &Receiver, kinds: &[&str]) {
    until(kinds, async || {
        let received = receiver.received();
        let told: Vec<Value> = received.iter().map(|request| request.json()["kind"].clone()).collect();
        kinds.iter().all(|kind| told.contains(&json!(kind))).then_some(())
    })
    .await;
}

/// The spans of a story by service and name: all that the first ones lead to over parents and links, in any direction.
struct Story {
    spans: Vec<Seen>,
}

impl Story {
    fn from(all: &[Seen], begins: impl Fn(&Seen) -> bool) -> Self {
        let mut near: HashMap<&str, Vec<&str>> = HashMap::new();
        for span in all {
            for other in span.parent.iter().chain(&span.links) {
                near.entry(&span.id).or_default().push(other);
                near.entry(other).or_default().push(&span.id);
            }
        }
        let mut open: Vec<&str> = all.iter().filter(|span| begins(span)).map(|span| span.id.as_str()).collect();
        let mut reached: HashSet<&str> = HashSet::new();
        while let Some(id) = open.pop() {
            if reached.insert(id) {
                open.extend(near.get(id).into_iter().flatten());
            }
        }
        Self { spans: all.iter().filter(|span| reached.contains(span.id.as_str())).cloned().collect() }
    }

    fn all(&self, service: &str, name: &str) -> Vec<&Seen> {
        let service = format!("switchboard-{service}");
        self.spans.iter().filter(|span| span.service == service && span.name == name).collect()
    }

    /// The one span with this name.
    fn one(&self, service: &str, name: &str, kind: SpanKind) -> &Seen {
        let found = self.all(service, name);
        assert_eq!(found.len(), 1, "{name} of {service}: {:?}", self.names());
        assert_eq!(found[0].kind, kind, "{name}");
        found[0]
    }

    fn names(&self) -> Vec<String> {
        self.spans.iter().map(|span| format!("{} {} {:?}", span.service, span.name, span.parent)).collect()
    }
}

const SEND: &str = "POST /v1/accounts/{account}/messages";

/// R06: the story of a message is one connected graph, from the request over row, bell, session and acknowledgements to
/// the webhook. A step of another process is linked. Names, kinds and attributes follow the conventions.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_message_is_one_story(pool: PgPool) {
    let sink = Sink::start();
    let (cluster, workers) = traced(pool, &sink, "1", "link").await;
    let receiver = Receiver::start(&[]).await;
    let kinds = ["message.sent", "message.delivered"];
    let (hook, account, own) = followed(&cluster, &receiver, &kinds).await;
    let bob = phone(&cluster).await;
    let sent = cluster.send_traced(&account, &bob, TEXT, CALLER).await;
    posted(&receiver, &kinds).await;
    let key = cluster.gateway.key().unwrap().to_owned();
    assert_eq!(receiver.received()[0].maybe("traceparent"), None, "whose story it is does not concern the receiver");
    cluster.stop(workers).await;

    let all = sink.spans();
    let story = Story::from(&all, |span| span.trace == CALLERS_TRACE);
    let request = story.one("api", SEND, SpanKind::Server);
    assert_eq!(request.parent.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"));
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/accounts/{account}/messages"),
        ("http.response.status_code", "202"),
        ("url.scheme", "http"),
    ] {
        assert_eq!(request.attribute(name), value, "{name}");
    }
    let row = story.one("api", "send outbox", SpanKind::Producer);
    let bell = story.one("api", "send doorbell", SpanKind::Producer);
    for made in [row, bell] {
        assert_eq!(made.parent.as_ref(), Some(&request.id), "{}", made.name);
    }
    for (name, value) in [
        ("messaging.system", "switchboard"),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "outbox"),
        ("messaging.message.id", sent.as_str()),
        ("db.system.name", "postgresql"),
        ("switchboard.account.id", account.as_str()),
    ] {
        assert_eq!(row.attribute(name), value, "{name}");
    }
    let rung = ["rung", "coalesced"];
    assert!(rung.contains(&bell.attribute("switchboard.outcome")) && bell.attribute("db.system.name") == "redis");

    for heard in story.all("worker", "process doorbell") {
        assert_eq!((heard.kind, &heard.parent, &heard.links), (SpanKind::Consumer, &None, &vec![bell.id.clone()]));
        assert_eq!((heard.attribute("switchboard.kind"), heard.attribute("switchboard.outcome")), ("send", "done"));
    }
    assert!(!story.all("worker", "process doorbell").is_empty(), "{:?}", story.names());
    let read = story.one("worker", "receive outbox", SpanKind::Client);
    let sending = story.one("worker", "process outbox", SpanKind::Consumer);
    for step in [read, sending] {
        assert_eq!((&step.parent, &step.links), (&None, &vec![row.id.clone()]), "{}", step.name);
    }
    assert_eq!(read.attribute("messaging.batch.message_count"), "1");
    assert_eq!(
        (sending.attribute("messaging.message.id"), &sending.events),
        (sent.as_str(), &vec!["acknowledged".to_owned()])
    );
    let handed = story.one("worker", "send whatsapp", SpanKind::Client);
    assert_eq!((handed.parent.as_ref(), handed.attribute("messaging.system")), (Some(&sending.id), "whatsapp"));
    assert!(sending.nanos > handed.nanos, "it lasts until the acknowledgement is written");
    let settled = story.all("worker", "settle outbox");
    assert_eq!(settled.len(), 2, "acknowledged by the server, and received by the phone: {:?}", story.names());
    assert!(settled.iter().all(|settled| settled.links == [row.id.clone()] && settled.kind == SpanKind::Client));

    let told = story.all("worker", "process events");
    assert_eq!(told.len(), 2, "{:?}", story.names());
    for told in told {
        assert_eq!((told.kind, &told.parent, &told.links), (SpanKind::Consumer, &None, &vec![row.id.clone()]));
        assert_eq!(
            (told.attribute("switchboard.webhook.id"), told.attribute("switchboard.attempt")),
            (hook["id"].as_str().unwrap(), "1")
        );
        let posts = story.all("worker", "POST");
        let post = posts.iter().find(|post| post.parent.as_ref() == Some(&told.id)).expect("it was posted");
        assert_eq!((post.kind, post.attribute("http.response.status_code")), (SpanKind::Client, "200"));
    }
    assert!(story.all("worker", "receive events").iter().all(|read| read.links == [row.id.clone()]));
    assert!(story.spans.iter().all(|span| !span.failed), "{story:?}", story = story.names());

    let named = |span: &Seen, name: &str| span.resource.get(name).is_some_and(|value| !value.is_empty());
    let resource = ["service.name", "service.version", "service.instance.id"];
    assert!(all.iter().all(|span| resource.iter().all(|name| named(span, name))));
    nothing_is_told(
        &all,
        &[
            &own,
            &bob,
            TEXT,
            "Grace",
            &key,
            hook["secret"].as_str().unwrap(),
            &receiver.url(),
            "127.0.0.1",
            "s.whatsapp.net",
        ],
    );

    // the account was claimed because of a bell, which is a story of its own
    let pairing = Story::from(&all, |span| span.name == "POST /v1/accounts/{account}/pair");
    let claim = pairing.one("worker", "claim accounts", SpanKind::Internal);
    let heard = pairing.all("worker", "process doorbell");
    assert!(heard.iter().any(|heard| claim.parent.as_ref() == Some(&heard.id)), "{:?}", pairing.names());
    assert_eq!(claim.attribute("switchboard.claimed"), "1");
}

/// Checks that no span contains any of these texts, in any name, attribute, event or link.
fn nothing_is_told(spans: &[Seen], secrets: &[&str]) {
    assert!(spans.len() > 10, "a check of nothing: {}", spans.len());
    for span in spans {
        for secret in secrets {
            assert!(!span.whole.contains(secret), "{secret} in {}", span.whole);
        }
    }
}

/// R06: the story of a due reminder is one connected graph as well, from the scheduler's transaction over the run's
/// expansion to the post to the webhook.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_reminder_is_one_story(pool: PgPool) {
    let sink = Sink::start();
    let (cluster, workers) = traced(pool, &sink, "1", "link").await;
    let receiver = Receiver::start(&[]).await;
    let (account, own) = cluster.connected("Ada").await;
    let (bob, eve) = (phone(&cluster).await, phone(&cluster).await);
    let kinds = ["reminder.fired", "message.sent", "run.changed"];
    cluster.post("/v1/webhooks", json!({"url": receiver.url(), "kinds": kinds})).await;
    let soon = (chrono::Utc::now() + std::time::Duration::from_secs(1)).to_rfc3339();
    let wish = json!({"name": "Stand-up", "account_id": account, "messages": [TEXT], "targets": [bob, eve],
        "start": soon, "timezone": "UTC", "recurrence": {"kind": "daily"}});
    cluster.post("/v1/reminders", wish).await;
    posted(&receiver, &kinds).await;
    cluster.stop(workers).await;

    let all = sink.spans();
    let story = Story::from(&all, |span| span.name == "create runs");
    let run = story.one("scheduler", "create runs", SpanKind::Producer);
    assert_eq!((&run.parent, run.attribute("switchboard.account.id")), (&None, account.as_str()));
    let fired = story.one("scheduler", "send runs", SpanKind::Client);
    assert_eq!((&fired.links, fired.attribute("messaging.batch.message_count")), (&vec![run.id.clone()], "1"));
    let bells = story.all("scheduler", "send doorbell");
    assert!(
        bells
            .iter()
            .any(|bell| bell.parent.as_ref() == Some(&run.id) && bell.attribute("switchboard.kind") == "fire_reminder")
    );
    let expansions = story.all("worker", "process runs");
    let expanded =
        expansions.iter().find(|step| step.attribute("switchboard.outcome") == "expanded").expect("expanded");
    let heard = story.all("worker", "process doorbell");
    assert_eq!((expanded.kind, &expanded.parent), (SpanKind::Consumer, &None));
    assert!(expanded.links.contains(&run.id));
    assert!(expanded.links.iter().any(|link| heard.iter().any(|heard| heard.id == *link)), "{:?}", story.names());
    let rows = story.one("worker", "send outbox", SpanKind::Producer);
    assert_eq!((rows.parent.as_ref(), rows.attribute("messaging.batch.message_count")), (Some(&expanded.id), "2"));
    let sending = story.all("worker", "process outbox");
    assert_eq!(sending.len(), 2, "{:?}", story.names());
    assert!(sending.iter().all(|sending| sending.links == [rows.id.clone()] && sending.events == ["acknowledged"]));
    let told: HashSet<&str> =
        story.all("worker", "process events").iter().map(|told| told.attribute("switchboard.kind")).collect();
    assert_eq!(told, HashSet::from(kinds));
    assert!(story.spans.iter().all(|span| !span.failed), "{:?}", story.names());
    nothing_is_told(&all, &[&own, &bob, &eve, TEXT, "Grace", "Stand-up", "s.whatsapp.net"]);
}

/// R06: what a live stream sends belongs to the story as well.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_live_stream_goes_on_with_the_story(pool: PgPool) {
    let sink = Sink::start();
    let (cluster, workers) = traced(pool, &sink, "1", "link").await;
    let (account, own) = cluster.connected("Ada").await;
    let bob = phone(&cluster).await;
    let mut stream = cluster.request("/v1/events").send().await.unwrap();
    cluster.send_traced(&account, &bob, TEXT, CALLER).await;
    let mut shown = String::new();
    while !shown.contains("event: message.delivered") {
        let chunk = tokio::time::timeout(std::time::Duration::from_secs(30), stream.chunk()).await;
        shown.push_str(std::str::from_utf8(&chunk.expect("it was delivered").unwrap().unwrap()).unwrap());
    }
    drop(stream);
    let key = cluster.gateway.key().unwrap().to_owned();
    cluster.stop(workers).await;

    let all = sink.spans();
    let story = Story::from(&all, |span| span.trace == CALLERS_TRACE);
    let row = story.one("api", "send outbox", SpanKind::Producer);
    let reads = story.all("api", "receive events");
    assert!(!reads.is_empty(), "{:?}", story.names());
    for read in &reads {
        assert_eq!((read.kind, &read.parent, &read.links), (SpanKind::Client, &None, &vec![row.id.clone()]));
        assert!(!read.attribute("switchboard.tenant.id").is_empty());
    }
    let counts = reads.iter().map(|read| read.attribute("messaging.batch.message_count").parse::<u8>().unwrap());
    assert!(counts.sum::<u8>() >= 2, "sent and delivered: {:?}", story.names());
    let nothing = all.iter().filter(|span| span.name == "receive events" && span.links.is_empty());
    assert_eq!(nothing.count(), 0, "a look at no events tells nothing");
    nothing_is_told(&all, &[&own, &bob, TEXT, "Grace", &key]);
}

/// R06: with `TRACE_PARENT=child` every step of a message is in the trace of the caller.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_story_may_be_one_trace(pool: PgPool) {
    let sink = Sink::start();
    let (cluster, workers) = traced(pool, &sink, "1", "child").await;
    let receiver = Receiver::start(&[]).await;
    let kinds = ["message.sent", "message.delivered"];
    let (_, account, _) = followed(&cluster, &receiver, &kinds).await;
    let bob = phone(&cluster).await;
    cluster.send_traced(&account, &bob, TEXT, CALLER).await;
    posted(&receiver, &kinds).await;
    cluster.stop(workers).await;

    let all = sink.spans();
    let story = Story::from(&all, |span| span.trace == CALLERS_TRACE);
    assert!(story.spans.iter().all(|span| span.trace == CALLERS_TRACE && span.parent.is_some()), "{:?}", story.names());
    let row = story.one("api", "send outbox", SpanKind::Producer);
    for (name, times) in [("receive outbox", 1), ("process outbox", 1), ("settle outbox", 2), ("process events", 2)] {
        let steps = story.all("worker", name);
        assert_eq!(steps.len(), times, "{name}: {:?}", story.names());
        assert!(steps.iter().all(|step| step.parent.as_ref() == Some(&row.id)), "{name}: {:?}", story.names());
    }
    assert!(story.spans.iter().any(|span| span.name == "process doorbell" && span.service == "switchboard-worker"));
}

/// R06: if no trace is kept, no row has one, and only failures are exported, with the spans around them. Rows and jobs
/// without a trace, as an older release makes them, are processed as well.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn only_failures_are_told_where_nothing_is_kept(pool: PgPool) {
    let sink = Sink::start();
    let (cluster, workers) = traced(pool, &sink, "0", "link").await;
    let receiver = Receiver::start(&[500]).await;
    let (account, _) = cluster.connected("Ada").await;
    let bob = phone(&cluster).await;
    cluster.post("/v1/webhooks", json!({"url": receiver.url(), "kinds": ["message.sent"]})).await;
    let sent = cluster.send(&account, &bob, TEXT).await;
    cluster.message(&sent, "delivered").await;
    until("the second attempt", async || (receiver.received().len() > 1).then_some(())).await;
    for table in ["messages", "events", "webhook_deliveries"] {
        let count = format!("SELECT count(*), count(trace) FROM {table}");
        let (rows, carried): (i64, i64) =
            sqlx::query_as(sqlx::AssertSqlSafe(count)).fetch_one(&cluster.pool).await.unwrap();
        assert!(rows > 0 && carried == 0, "{table}: {carried} of {rows}");
    }
    cluster.stop(workers).await;

    let all = sink.spans();
    let failed = |name: &str| all.iter().find(|span| span.failed && span.name == name).expect("it failed");
    assert_eq!(failed("process events").attribute("error.type"), "status");
    let post = failed("POST");
    assert_eq!((post.attribute("error.type"), post.attribute("http.response.status_code")), ("500", "500"));
    assert_eq!(post.parent, Some(failed("process events").id.clone()));
    let traces: HashSet<&str> = all.iter().filter(|span| span.failed).map(|span| span.trace.as_str()).collect();
    let others: Vec<&Seen> = all.iter().filter(|span| !traces.contains(span.trace.as_str())).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// R06: a trace that the caller does not keep is not kept, and a malformed `traceparent` is ignored.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_callers_decision_holds(pool: PgPool) {
    let sink = Sink::start();
    let (cluster, workers) = traced(pool, &sink, "1", "link").await;
    let (account, _) = cluster.connected("Ada").await;
    let bob = phone(&cluster).await;
    let unkept = CALLER.replace("-01", "-00");
    let unkept = cluster.send_traced(&account, &bob, "one", &unkept).await;
    let nonsense = cluster.send_traced(&account, &bob, "two", "+4917012345678").await;
    for sent in [&unkept, &nonsense] {
        cluster.message(sent, "delivered").await;
    }
    let trace = async |id: &str| -> Option<String> {
        let row =
            sqlx::query_scalar("SELECT trace FROM messages WHERE id = $1").bind(id.parse::<uuid::Uuid>().unwrap());
        row.fetch_one(&cluster.pool).await.unwrap()
    };
    assert_eq!(trace(&unkept).await, None);
    let carried = trace(&nonsense).await.expect("a story of our own");
    let health = cluster.call(Method::GET, "/health", None).await;
    assert!(health.0.is_success());
    cluster.stop(workers).await;
    let all = sink.spans();
    assert!(all.iter().all(|span| span.trace != CALLERS_TRACE));
    let row = all.iter().find(|span| span.traceparent() == carried).expect("the row names its step");
    assert_eq!((row.name.as_str(), row.service.as_str()), ("send outbox", "switchboard-api"));
    assert!(all.iter().all(|span| !span.name.contains("/health")), "probes are no story");
}
