//! Doorbells while Redis is emptied, restarted, away or frozen; each on a Redis of the test's own.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bells::doorbell::{Doorbell, Noted, Path};
use bells::keys::RedisKeys;
use domain::id::{AccountId, WorkerId};
use domain::job::Queue;
use kit::{RedisServer, redis_prefix};

use super::{Counting, Listening, UNHURRIED, accounts, eventually, keys, own, patient, send};

async fn empty(url: &str) {
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
}

/// R05: Redis restarts and is emptied under load: nothing is lost, given that the duty rings again.
#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_or_restarted_redis_loses_nothing() {
    let mut redis = RedisServer::start();
    let bell = Doorbell::connect(&redis.url(), &redis_prefix()).unwrap();
    let handler = Arc::new(Counting::default());
    let listening = Listening::start(&bell, &handler).await;
    let rows: Vec<_> = accounts(3_000).into_iter().map(send).collect();
    let ringing = {
        let (bell, rows) = (bell.clone(), rows.clone());
        tokio::spawn(async move {
            for row in rows.chunks(10) {
                let _ = bell.ring_many(row).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    empty(&redis.url()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    redis.restart();
    tokio::time::sleep(Duration::from_millis(500)).await;
    empty(&redis.url()).await;
    ringing.await.unwrap();
    let began = Instant::now();
    while handler.bells() < rows.len() {
        assert!(began.elapsed() < Duration::from_secs(60), "{} of {}", handler.bells(), rows.len());
        let waiting: Vec<_> = rows.iter().filter(|row| handler.times(row) == 0).copied().collect();
        let _ = bell.ring_many(&waiting).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("recovered in {:?}; consumers ended {} times", began.elapsed(), handler.ended());
    assert!(handler.ended() >= 1, "the library's consumers do end when their registration is gone");
    assert!(handler.looked.load(Ordering::Relaxed) >= 2, "everything was looked at after the loss");

    // and the queues live on without the duty's help
    eventually(Duration::from_secs(20), || {
        let noted = handler.noted.lock().unwrap();
        let last = |queue: Queue| {
            noted.iter().rev().find(|noted| {
                matches!(noted,
            Noted::Consuming { queue: q, .. } | Noted::ConsumerEnded { queue: q, .. } if *q == queue)
            })
        };
        matches!(last(Queue::Claim), Some(Noted::Consuming { .. }))
    })
    .await;
    let later = send(AccountId::new());
    let queued = handler.by(Path::Queue);
    patient(&bell, &[later]).await;
    eventually(Duration::from_secs(20), || handler.by(Path::Queue) > queued).await;
    listening.stop().await;
}

/// The inbox of a worker that died minutes ago is dropped with all it held; one that was seen lately stays.
#[tokio::test(flavor = "multi_thread")]
async fn dead_inboxes_are_dropped() {
    let redis = RedisServer::start();
    let (url, prefix) = (redis.url(), redis_prefix());
    let bell = Doorbell::with_timing(&url, &prefix, UNHURRIED).unwrap();
    let mut connection = redis::Client::open(url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let (seconds, _): (i64, i64) = redis::cmd("TIME").query_async(&mut connection).await.unwrap();
    let (dead, living) = (WorkerId::new(), WorkerId::new());
    for (worker, seen) in [(dead, seconds - 600), (living, seconds)] {
        let workers = format!("{}:workers", RedisKeys::new(&prefix).queue(Queue::Inbox(worker)));
        for account in accounts(700) {
            own(&url, &prefix, account, worker).await;
            patient(&bell, &[send(account)]).await;
        }
        let note = redis::pipe()
            .cmd("ZADD")
            .arg(&workers)
            .arg(seen)
            .arg(format!("{worker}-1"))
            .cmd("ZADD")
            .arg("core:apalis:queues:list")
            .arg(seconds - 600)
            .arg(&workers)
            .exec_async(&mut connection)
            .await;
        note.unwrap();
    }
    assert_eq!(bell.drop_dead_inboxes().await.unwrap(), 1);
    assert_eq!(bell.drop_dead_inboxes().await.unwrap(), 0);
    let keys = keys(&url, &format!("{prefix}v1:")).await;
    assert!(!keys.iter().any(|key| key.contains(&dead.to_string())), "{keys:?}");
    assert_eq!(bell.due(Queue::Inbox(living)).await.unwrap(), 700);
}

/// With Redis away a ring fails within its budget: it never hangs a request.
#[tokio::test(flavor = "multi_thread")]
async fn a_ring_fails_fast_when_redis_is_away() {
    let mut redis = RedisServer::start();
    let bell = Doorbell::connect(&redis.url(), &redis_prefix()).unwrap();
    patient(&bell, &[send(AccountId::new())]).await;
    redis.kill();
    for _ in 0..5 {
        let began = Instant::now();
        assert!(bell.ring(&send(AccountId::new())).await.is_err());
        assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    }
    redis.restart();
    let began = Instant::now();
    while bell.ring(&send(AccountId::new())).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "a ring works again once Redis is back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("rings again {:?} after the restart", began.elapsed());
}

/// A Redis that accepts and never answers is as good as away.
#[tokio::test(flavor = "multi_thread")]
async fn a_ring_fails_fast_when_redis_is_frozen() {
    let frozen = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", frozen.local_addr().unwrap());
    let bell = Doorbell::connect(&url, "test:").unwrap();
    let began = Instant::now();
    assert!(bell.ring(&send(AccountId::new())).await.is_err());
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
}
