//! Doorbells over apalis-redis, which only this module uses. A ring wakes a worker that can do the work; the rows say
//! what the work is.
//!
//! Ringing looks up the account's owner, puts a job that contains only ids into the owner's inbox (without an owner:
//! into `claim`), and publishes to the owner's channel. The publish wakes the session in under a millisecond. The job
//! covers a missed publish, and the scheduler's duty rings again for rows that both missed. Safety does not depend on
//! any of this: every bell may be lost or doubled.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};

use crate::keys::RedisKeys;
use domain::job::{Answer, Bell, Job, Queue};
use process::telemetry::metrics::failure;
use process::telemetry::metrics::labels::RedisUser;

mod answer;
mod consume;
mod lengths;
mod listen;
mod paced;
mod ring;
mod subscribe;
mod tidy;

/// Why a bell could not be rung. The row is committed anyway, and the scheduler's duty rings again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Redis did not answer within the time limit.
    #[error("redis did not answer within {0:?}")]
    Timeout(Duration),
    /// Redis returned an error.
    #[error("redis: {0}")]
    Redis(#[source] redis::RedisError),
    /// apalis-redis returned an error.
    #[error("queue: {0}")]
    Queue(#[from] apalis_redis::Error),
    /// A bell could not be serialized.
    #[error("bell: {0}")]
    Encoding(#[from] serde_json::Error),
}

impl process::telemetry::trace::Fault for Error {
    fn fault(&self) -> Option<&'static str> {
        Some(match self {
            Self::Timeout(_) => "timeout",
            Self::Redis(_) | Self::Queue(_) => "redis",
            Self::Encoding(_) => "encoding",
        })
    }
}

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        failure::count_redis(RedisUser::Doorbell, &error);
        Self::Redis(error)
    }
}

impl Error {
    /// Redis did not answer within this time. Counts the failure.
    fn timeout(after: Duration) -> Self {
        failure::count_redis_timeout(RedisUser::Doorbell);
        Self::Timeout(after)
    }
}

/// The result of a ring.
pub type Result<T> = std::result::Result<T, Error>;

/// Answers bells. The worker implements it.
#[async_trait::async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Looks at the rows that the bell points at, and does the work. May be called twice for one bell, even at the same
    /// time. Is cancelled after [`Timing::handling`].
    async fn answer(&self, job: Job) -> Answer;

    /// Looks at all accounts of this worker, because bells may have been missed. Called on every (re)subscription.
    async fn look_at_everything(&self);

    /// Reports what happened, for metrics and tests.
    fn noted(&self, _what: &Noted) {}
}

/// Something that happened on the listening side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// A bell was answered.
    Answered {
        /// The bell.
        bell: Bell,
        /// How it was heard.
        path: Path,
        /// The handler's answer.
        answer: Answer,
        /// How long the handler took.
        took: Duration,
    },
    /// A consumer of a queue has started.
    Consuming {
        /// The queue.
        queue: Queue,
        /// Counts from 1 in each process. Above 1, the consumer before has ended.
        start: u32,
    },
    /// A consumer has ended, and another is about to be started.
    ConsumerEnded {
        /// The queue.
        queue: Queue,
        /// The reason.
        reason: String,
    },
    /// The channels were subscribed.
    Subscribed {
        /// Counts from 1 in each process.
        start: u32,
    },
    /// The subscription was lost, and is about to be renewed.
    Unsubscribed {
        /// The reason.
        reason: String,
    },
    /// A published bell was not answered because too many were being answered. Its job in the queue will be.
    Overrun,
}

/// How a bell was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// As a job from a queue.
    Queue,
    /// As a message from a channel.
    Channel,
}

impl Path {
    /// The name, for metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Channel => "channel",
        }
    }
}

/// The durations of the doorbell.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a ring may take in all. After that it fails (the row is committed, and a duty rings again).
    pub ring: Duration,
    /// How often a queue is looked at while no bell is heard.
    pub poll: Duration,
    /// How long a handler may take for one bell.
    pub handling: Duration,
    /// How long a bell that nobody answers coalesces with equal ones.
    pub coalesce: Duration,
    /// How often finished jobs are removed.
    pub tidy: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ring: Duration::from_millis(100),
            poll: Duration::from_millis(250),
            handling: Duration::from_secs(30),
            coalesce: Duration::from_secs(5),
            tidy: Duration::from_secs(5),
        }
    }
}

/// Rings bells, and answers them. Cheap to clone.
#[derive(Clone)]
pub struct Doorbell {
    client: redis::Client,
    ringing: ConnectionManager,
    consuming: ConnectionManager,
    keys: RedisKeys,
    timing: Timing,
}

impl std::fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doorbell").field("keys", &self.keys).field("timing", &self.timing).finish_non_exhaustive()
    }
}

impl Doorbell {
    /// Prepares the connections. They are opened at their first use, so that a start does not wait for Redis.
    ///
    /// # Errors
    /// If the URL is malformed.
    pub fn connect(redis_url: &str, prefix: &str) -> Result<Self> {
        Self::with_timing(redis_url, prefix, Timing::default())
    }

    /// As [`Doorbell::connect`], with other durations.
    ///
    /// # Errors
    /// If the URL is malformed.
    pub fn with_timing(redis_url: &str, prefix: &str, timing: Timing) -> Result<Self> {
        let client = redis::Client::open(redis_url)?;
        // the default response timeout of 500 ms would end consumers on any short delay
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_response_timeout(Some(Duration::from_secs(5)))
            .set_max_delay(Duration::from_millis(500))
            .set_number_of_retries(3);
        Ok(Self {
            ringing: ConnectionManager::new_lazy_with_config(client.clone(), config.clone())?,
            consuming: ConnectionManager::new_lazy_with_config(client.clone(), config)?,
            client,
            keys: RedisKeys::new(prefix),
            timing,
        })
    }

    fn config(&self, queue: Queue) -> apalis_redis::Config {
        apalis_redis::Config::default()
            .queue(self.keys.queue(queue))
            .batch_size(1) // with more, a slow handler makes a live consumer look dead, and everything runs twice
            .lock_tasks(false) // locking makes a backlog quadratic
            .persist_results(true) // acknowledging depends on it
            .emit_events(false)
            .idempotency_ttl(Some(Duration::from_secs(60))) // without a value, 0 is sent, which deletes the key at once
            .heartbeat_interval(Duration::from_secs(5))
            .missed_heartbeats(3)
    }

    /// Whether Redis answers on the consumers' connection.
    async fn ping(&self) -> bool {
        let mut connection = self.consuming.clone();
        redis::cmd("PING").exec_async(&mut connection).await.is_ok()
    }

    /// The durations, for callers that report or wait.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }
}
