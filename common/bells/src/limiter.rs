//! Limits how fast the whole cluster connects: one token bucket in Redis, `{prefix}limiter:connect`, by Redis's own
//! clock.
//!
//! A process books tokens instead of polling for them: the answer says when they may be used. Each process books a few
//! at a time and has one booking open, so that the processes take turns. While Redis is unreachable, each process keeps
//! to its share of the rate by itself.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::Script;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::sync::Mutex;

use crate::keys::RedisKeys;
use process::clock::BootTime;
use process::telemetry::metrics::labels::{Counted, RedisUser};
use process::telemetry::metrics::{self, failure};

/// The time limit of a query to Redis. After it, the process counts by itself.
const ASK: Duration = Duration::from_millis(500);
/// How long a process counts by itself before it asks Redis again.
const ALONE: Duration = Duration::from_secs(1);
/// How many bookings of one process make up a second of the cluster's rate. Small bookings let other processes take
/// their turn soon.
const BOOKINGS_PER_S: u32 = 10;
/// The rest of a booking expires after this: the sessions for which it was made have given up.
const LEFT_OVER: Duration = Duration::from_secs(1);
/// The bucket's time is never further ahead than this, so that a clock of Redis that was set back does not stop
/// everyone.
const AHEAD_MAX: Duration = Duration::from_secs(120);

/// Redis did not answer.
#[derive(Debug, thiserror::Error)]
#[error("limiter: {0}")]
pub struct Error(#[source] redis::RedisError);

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        failure::count_redis(RedisUser::Limiter, &error);
        Self(error)
    }
}

/// Booked tokens of the cluster's bucket. All of them may be used from one instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booking {
    /// The instant, in microseconds of Redis's clock.
    pub at_us: u64,
    /// The time from the booking until that instant.
    pub wait: Duration,
}

/// One process's access to the cluster's rate. Waiting callers get tokens in the order in which they came.
pub struct Limiter {
    connection: ConnectionManager,
    key: String,
    /// Tokens per second, which is also the size of the bucket; 0: no limit.
    rate: u32,
    peers: AtomicU32,
    waiting: AtomicU32,
    booked: Mutex<Booked>,
}

/// The rest of this process's last booking. It stays when the caller that made the booking gives up, so that no token
/// is lost.
struct Booked {
    tokens: u32,
    from: BootTime,
    local: Bucket,
    alone_until: Option<BootTime>,
}

impl Limiter {
    /// Prepares the connection, which is opened at its first use. `rate` is the tokens per second of the whole cluster;
    /// up to one second's worth is saved up. 0 means no limit.
    ///
    /// # Errors
    /// If the URL is malformed. Redis itself may be unreachable.
    pub fn connect(url: &str, prefix: &str, rate: u32) -> Result<Self, Error> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(ASK))
            .set_connection_timeout(Some(ASK))
            .set_number_of_retries(1);
        let connection = ConnectionManager::new_lazy_with_config(redis::Client::open(url)?, config)?;
        Ok(Self {
            connection,
            key: RedisKeys::new(prefix).limiter(),
            rate,
            peers: AtomicU32::new(1),
            waiting: AtomicU32::new(0),
            booked: Mutex::new(Booked {
                tokens: 0,
                from: BootTime::at(Duration::ZERO),
                local: Bucket::default(),
                alone_until: None,
            }),
        })
    }

    /// Sets how many processes share the rate, which gives this one's share while Redis is unreachable.
    pub fn shared_by(&self, peers: u32) {
        self.peers.store(peers.max(1), Ordering::Relaxed);
    }

    /// This process's share of the rate, in whole tokens per second, at least one; `None` if there is no limit.
    #[must_use]
    pub fn part_per_s(&self) -> Option<u32> {
        (self.rate > 0).then(|| (self.rate / self.peers.load(Ordering::Relaxed)).max(1))
    }

    /// Waits for a token and takes it. If the future is dropped while it waits, it takes none.
    pub async fn take(&self) {
        if self.rate == 0 {
            return;
        }
        let began = BootTime::now();
        let _waiting = Waiting::new(&self.waiting);
        let mut booked = self.booked.lock().await;
        let left_over = BootTime::now().since(booked.from) > LEFT_OVER;
        if booked.tokens == 0 || left_over {
            let tokens = self.waiting.load(Ordering::Relaxed).clamp(1, (self.rate / BOOKINGS_PER_S).max(1));
            self.refill(&mut booked, tokens).await;
        }
        tokio::time::sleep(booked.from.since(BootTime::now())).await;
        booked.tokens -= 1;
        metrics::CONNECT_WAIT_SECONDS.observe_with_trace(BootTime::now().since(began).as_secs_f64());
    }

    async fn refill(&self, booked: &mut Booked, tokens: u32) {
        let now = BootTime::now();
        if booked.alone_until.is_none_or(|until| until <= now) {
            match tokio::time::timeout(ASK, self.book(tokens)).await {
                Ok(Ok(booking)) => {
                    (booked.tokens, booked.from) = (tokens, BootTime::now() + booking.wait);
                    booked.alone_until = None;
                    metrics::CONNECTS.of(Counted::Cluster).inc_by(f64::from(tokens));
                    return;
                }
                Ok(Err(error)) => tracing::debug!(%error, "connects are counted by this worker alone for a while"),
                Err(_) => {
                    failure::count_redis_timeout(RedisUser::Limiter);
                    tracing::debug!("connects are counted by this worker alone for a while: Redis does not answer");
                }
            }
            booked.alone_until = Some(BootTime::now() + ALONE);
        }
        let per_token = self.per_token() * self.peers.load(Ordering::Relaxed);
        let now = BootTime::now();
        (booked.tokens, booked.from) = (1, now + booked.local.book(now, per_token));
        metrics::CONNECTS.of(Counted::Alone).inc();
    }

    fn per_token(&self) -> Duration {
        Duration::from_secs(1) / self.rate.max(1)
    }

    /// Books tokens from the cluster's bucket.
    ///
    /// # Errors
    /// If Redis does not answer. The tokens may be booked all the same.
    pub async fn book(&self, tokens: u32) -> Result<Booking, Error> {
        let worth = self.per_token() * tokens;
        let (at_us, wait_us): (u64, u64) = Script::new(include_str!("lua/book.lua"))
            .key(&self.key)
            .arg(micros(worth))
            .arg(micros(AHEAD_MAX))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(Booking { at_us, wait: Duration::from_micros(wait_us) })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The same bucket for one process, while Redis is unreachable.
#[derive(Debug, Default, Clone, Copy)]
pub struct Bucket {
    given: Option<BootTime>,
}

impl Bucket {
    /// Books one token at `now`, at a rate of one per `per_token`. Returns how long to wait for it. A second's worth of
    /// tokens is saved up, and at least one token.
    pub fn book(&mut self, now: BootTime, per_token: Duration) -> Duration {
        let saved = per_token.max(Duration::from_secs(1));
        let full = BootTime::at(now.since(BootTime::at(saved)));
        let given = self.given.map_or(full, |given| given.max(full)) + per_token;
        self.given = Some(given);
        given.since(now)
    }
}

/// Counts one caller that waits for a token.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
