//! The cluster's rate, against a real Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bells::limiter::{Bucket, Limiter};
use kit::{RedisServer, redis_prefix, redis_url};
use process::clock::BootTime;
use tokio::task::JoinSet;

fn redis() -> (String, String) {
    (redis_url(), redis_prefix())
}

/// Two processes that book as fast as they can: no window of the bucket's time holds more than its size and rate allow. The
/// bookings lie ahead on Redis's clock, so nobody sleeps here.
#[tokio::test]
async fn two_limiters_never_exceed_the_rate_together() {
    const RATE: u32 = 50;
    let (url, prefix) = redis();
    let mut booking = JoinSet::new();
    for _ in 0..2 {
        let limiter = Arc::new(Limiter::connect(&url, &prefix, RATE).unwrap());
        for tokens in [1, 5, 3, 7] {
            let limiter = Arc::clone(&limiter);
            booking.spawn(async move {
                let mut booked = Vec::new();
                for _ in 0..15 {
                    booked.extend(vec![limiter.book(tokens).await.unwrap().at_us; tokens as usize]);
                }
                booked
            });
        }
    }
    let mut booked: Vec<u64> = booking.join_all().await.concat();
    booked.sort_unstable();
    assert_eq!(booked.len(), 480);
    for (n, first) in booked.iter().enumerate() {
        for (m, last) in booked.iter().enumerate().skip(n) {
            let allowed = f64::from(RATE) * (1.0 + (last - first) as f64 / 1_000_000.0);
            assert!((m - n + 1) as f64 <= allowed + 0.001, "{} tokens within {} us", m - n + 1, last - first);
        }
    }
    let took = Duration::from_micros(booked[479] - booked[0]);
    assert!(took < Duration::from_secs(9), "and nothing is lost: 480 - 50 tokens at 50/s in {took:?}");
}

/// Takers in two processes get as much as the rate gives, and no more.
#[tokio::test]
async fn takers_wait_for_their_turn() {
    let (url, prefix) = redis();
    let mut taking = JoinSet::new();
    let start = Instant::now();
    for _ in 0..2 {
        let limiter = Arc::new(Limiter::connect(&url, &prefix, 100).unwrap());
        for _ in 0..70 {
            let limiter = Arc::clone(&limiter);
            taking.spawn(async move { limiter.take().await });
        }
    }
    taking.join_all().await;
    assert!(start.elapsed() >= Duration::from_millis(390), "140 of 100 at once take 0.4 s: {:?}", start.elapsed());
}

/// Whoever gives up takes nothing: the token is the next one's.
#[tokio::test]
async fn a_token_is_not_lost_with_one_who_gave_up() {
    let (url, prefix) = redis();
    let limiter = Limiter::connect(&url, &prefix, 2).unwrap();
    limiter.take().await;
    limiter.take().await;
    let gave_up = tokio::time::timeout(Duration::from_millis(300), limiter.take()).await;
    assert!(gave_up.is_err(), "the bucket is empty for half a second");
    let start = Instant::now();
    limiter.take().await;
    assert!(start.elapsed() < Duration::from_millis(400), "it was booked already: {:?}", start.elapsed());
}

/// Redis is away: each process keeps to its part of the rate by itself, and asks Redis again when it is back.
#[tokio::test]
async fn without_redis_a_process_keeps_to_its_part() {
    let mut redis = RedisServer::start();
    let limiter = Limiter::connect(&redis.url(), "test:", 100).unwrap();
    limiter.shared_by(10);
    limiter.take().await;
    redis.kill();
    tokio::time::timeout(Duration::from_secs(5), limiter.take()).await.expect("an unreachable Redis is no outage");
    // from here on it counts by itself for a second: nine more are saved up, then one comes every 100 ms
    let alone = Instant::now();
    for _ in 0..15 {
        limiter.take().await;
    }
    let took = alone.elapsed();
    assert!(took >= Duration::from_millis(450), "16 of 10 at once take 0.6 s: {took:?}");
    assert!(took < Duration::from_secs(5), "and no more than that: {took:?}");
    redis.restart();
    let back = Instant::now();
    while limiter.book(1).await.is_err() {
        assert!(back.elapsed() < Duration::from_secs(20), "Redis is found again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Zero means no limit: not even Redis is asked.
#[tokio::test]
async fn without_a_limit_nobody_waits() {
    let limiter = Limiter::connect("redis://127.0.0.1:1", "test:", 0).unwrap();
    let start = Instant::now();
    for _ in 0..1_000 {
        limiter.take().await;
    }
    assert!(start.elapsed() < Duration::from_millis(200));
}

/// A process alone: a second's worth at once after a rest, then one token every `per_token`.
#[test]
fn a_bucket_gives_a_seconds_worth_and_then_the_rate() {
    let at = |ms| BootTime::at(Duration::from_millis(ms));
    let per_token = Duration::from_millis(100);
    let mut bucket = Bucket::default();
    for _ in 0..10 {
        assert_eq!(bucket.book(at(60_000), per_token), Duration::ZERO);
    }
    assert_eq!(bucket.book(at(60_000), per_token), Duration::from_millis(100));
    assert_eq!(bucket.book(at(60_000), per_token), Duration::from_millis(200));
    assert_eq!(bucket.book(at(60_150), per_token), Duration::from_millis(150));
    assert_eq!(bucket.book(at(90_000), per_token), Duration::ZERO, "what is saved up ends at a second's worth");
    let mut slow = Bucket::default();
    assert_eq!(slow.book(at(60_000), Duration::from_secs(5)), Duration::ZERO);
    assert_eq!(slow.book(at(60_000), Duration::from_secs(5)), Duration::from_secs(5));
}
