//! A worker that crashes again and again, between any two of its steps: what it writes together, hands over and receives.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kit::until_within;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use e2e::Cluster;

/// How often the worker crashes, unless `CRASHES` says another number.
const CRASHES: usize = 10;
/// How many texts each chat gets between two crashes.
const TEXTS: usize = 2;
/// The crash comes at most this long after the first message of a boot has arrived, while others are under way.
const BUSY: Duration = Duration::from_millis(40);
/// In one of four boots the crash comes at most this long after the start, often in the middle of a login.
const EARLY: Duration = Duration::from_millis(400);
/// How long the last boot may take for what is left.
const REST: Duration = Duration::from_mins(1);

/// One chat of an account with a phone or a group. All its texts are read in the inbox of one phone.
struct Chat {
    account: String,
    own: String,
    to: String,
    reader: String,
    name: String,
}

impl Chat {
    fn text(&self, n: usize) -> String {
        format!("{} {n:05}", self.name)
    }
}

/// Three accounts, each with two people and a group.
async fn chats(cluster: &Cluster) -> Vec<Chat> {
    let mut chats = Vec::new();
    for letter in ["a", "b", "c"] {
        let (account, own) = cluster.connected(letter).await;
        let [first, second, third] = [cluster.phone("1").await, cluster.phone("2").await, cluster.phone("3").await];
        let members = json!({"subject": letter, "owner": own, "members": [third]});
        let group = cluster.admin(Method::POST, "/groups", Some(members)).await["jid"].as_str().unwrap().to_owned();
        for (to, reader) in [(first.clone(), first), (second.clone(), second), (group, third)] {
            let name = format!("{letter}{}", chats.len());
            chats.push(Chat { account: account.clone(), own: own.clone(), to, reader, name });
        }
    }
    chats
}

async fn counted(cluster: &Cluster) -> Value {
    cluster.admin(Method::GET, "/stats", None).await
}

async fn arrived(cluster: &Cluster) -> u64 {
    let messages = counted(cluster).await["messages"].clone();
    messages["direct"].as_u64().unwrap() + messages["group"].as_u64().unwrap()
}

/// R01, R02, R36, R110, R111: the worker crashes between any two of its steps, many times, while it writes, hands over
/// and receives. Every text arrives once and in order. No key of a ratchet is used twice, since a phone can't decrypt
/// the second message under one key. Each received text becomes one event. `CRASHES` and `SEED` say how often and when.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_worker_that_crashes_between_any_two_steps_loses_and_doubles_nothing(pool: PgPool) {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seed = number("SEED").unwrap_or_else(rand::random);
    let crashes = number("CRASHES").map_or(CRASHES, |crashes| usize::try_from(crashes).unwrap());
    println!("SEED={seed} CRASHES={crashes}");
    let mut dice = StdRng::seed_from_u64(seed);
    let same = [("WORKER_NAME", "worker-a")];
    let (mut cluster, _) = Cluster::start(pool, 0).await;
    cluster.set("LEASE_TTL_MS", "300000"); // only a start in its place can bring the accounts back
    cluster.set("CONNECTS_PER_S", "0");
    let mut worker = cluster.worker_with(&same);
    let chats = chats(&cluster).await;

    let mut sent = 0;
    for _ in 0..crashes {
        let before = arrived(&cluster).await;
        let post = join_all(chats.iter().map(async |chat| {
            for n in sent..sent + TEXTS {
                cluster.send(&chat.account, &chat.to, &chat.text(n)).await;
            }
            let received = json!({"to": chat.own, "text": format!("to {}", chat.text(sent))});
            cluster.admin(Method::POST, &format!("/phones/{}/send", chat.reader), Some(received)).await;
        }));
        post.await;
        sent += TEXTS;
        if dice.random_bool(0.75) {
            until_within(REST, "a message of this boot", async || (arrived(&cluster).await > before).then_some(()))
                .await;
            tokio::time::sleep(BUSY.mul_f64(dice.random())).await;
        } else {
            tokio::time::sleep(EARLY.mul_f64(dice.random())).await;
        }
        worker.vanish();
        worker = cluster.worker_with(&same);
    }

    let states =
        "SELECT state, coalesce(reason, ''), attempts, count(*) FROM messages GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    let states =
        async || -> Vec<(String, String, i32, i64)> { sqlx::query_as(states).fetch_all(&cluster.pool).await.unwrap() };
    let begun = Instant::now();
    while states().await.iter().any(|state| state.0 == "queued") {
        assert!(begun.elapsed() < REST, "SEED={seed}: messages wait: {:?}", states().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let told = states().await;
    let went = |state: &(String, String, i32, i64)| ["sent", "delivered", "read"].contains(&state.0.as_str());
    assert!(told.iter().all(went), "SEED={seed}: messages did not go out: {told:?}");
    let stats = counted(&cluster).await;
    assert_eq!(stats["phones"]["undecryptable"], 0, "SEED={seed}: no key of a ratchet was used twice: {stats}");
    for chat in &chats {
        let wanted: Vec<String> = (0..sent).map(|n| chat.text(n)).collect();
        let inbox = until_within(REST, &chat.name, async || {
            let inbox = cluster.inbox(&chat.reader).await;
            (inbox.len() >= wanted.len()).then_some(inbox)
        });
        let seen: Vec<String> = inbox.await.iter().map(|m| m["text"].as_str().unwrap().to_owned()).collect();
        assert_eq!(seen, wanted, "SEED={seed}: every text once, and in order");
    }
    for chat in &chats {
        // what was asked for again may still be on its way
        until_within(REST, "a queue without stanzas", async || {
            let phone = cluster.admin(Method::GET, &format!("/phones/{}", chat.own), None).await;
            (phone["linked_devices"][0]["queued_stanzas"] == 0).then_some(())
        })
        .await;
    }
    let events = "SELECT data->>'text', count(*) FROM events WHERE kind = 'message.received' GROUP BY 1";
    let wanted: BTreeMap<String, i64> = (0..sent)
        .step_by(TEXTS)
        .flat_map(|n| chats.iter().map(move |chat| (format!("to {}", chat.text(n)), 1)))
        .collect();
    let begun = Instant::now();
    let told = loop {
        let told: Vec<(String, i64)> = sqlx::query_as(events).fetch_all(&cluster.pool).await.unwrap();
        let told: BTreeMap<String, i64> = told.into_iter().collect();
        if told.len() >= wanted.len() {
            break told;
        }
        let missing: Vec<_> = wanted.keys().filter(|text| !told.contains_key(*text)).collect();
        let stats = if begun.elapsed() > REST { Some(counted(&cluster).await) } else { None };
        assert!(stats.is_none(), "SEED={seed}: {} were never received: {missing:?}; {stats:?}", missing.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(told, wanted, "SEED={seed}: each received text is one event");
    println!("asked again for {} missed messages", counted(&cluster).await["phones"]["retries_answered"]);
    cluster.stop(vec![worker]).await;
}
