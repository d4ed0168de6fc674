//! One queue's consumer, and its supervisor: apalis ends a worker on any hiccup of Redis, so it is started anew.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::*;
use apalis_redis::RedisStorage;
use rand::RngExt as _;
use serde_json::Value;
use tokio::time::Instant;

use super::answer::Answering;
use super::paced::{Line, Paced};
use super::{Noted, tidy};
use domain::job::{Job, Queue};

/// Bells of one queue answered at the same time.
const AT_ONCE: usize = 64;
/// The waits between a consumer's end and its next start.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A consumer that lived this long starts the backoff from its beginning.
const HEALTHY: Duration = Duration::from_secs(30);
/// How long a graceful stop may take.
const STOPPING: Duration = Duration::from_secs(5);

/// Consumes a queue until told to stop, over as many consumers as it takes.
pub(super) async fn supervise(answering: Arc<Answering>, queue: Queue) {
    let mut backoff = BACKOFF.0;
    for start in 1.. {
        let began = Instant::now();
        answering.handler.noted(&Noted::Consuming { queue, start });
        if start > 1 && !queue.shared() {
            // what emptied or restarted Redis took bells with it; while it is away nothing is to be heard
            let answering = Arc::clone(&answering);
            answering.tasks.clone().spawn(async move {
                if answering.bell.ping().await {
                    answering.look_at_everything().await;
                }
            });
        }
        let ended = consume(&answering, queue, start).await;
        if answering.stop_of(queue).is_cancelled() {
            return;
        }
        let reason = ended.err().unwrap_or_else(|| "it ended by itself".to_owned());
        tracing::debug!(queue = queue.kind(), start, reason, "the consumer ended: starting another");
        answering.handler.noted(&Noted::ConsumerEnded { queue, reason });
        if began.elapsed() >= HEALTHY {
            backoff = BACKOFF.0;
        }
        let wait = backoff.mul_f64(rand::rng().random_range(0.5..1.0));
        backoff = (backoff * 2).min(BACKOFF.1);
        if tokio::time::timeout(wait, answering.stop_of(queue).cancelled()).await.is_ok() {
            return;
        }
    }
}

/// Runs one apalis worker. Its name is new with each start, as a name can't come back within its heartbeat's threshold.
async fn consume(answering: &Arc<Answering>, queue: Queue, start: u32) -> Result<(), String> {
    let name = format!("{}-{start}", answering.worker);
    let bell = &answering.bell;
    let line = Line::new(bell.consuming.clone());
    let open = line.open();
    let storage = RedisStorage::<Value, Line>::new(line).with_config(bell.config(queue));
    let answers = Arc::clone(answering);
    let worker = WorkerBuilder::new(&*name)
        .backend(Paced::new(storage, open, bell.timing.poll))
        .concurrency(AT_ONCE)
        .build(move |payload: Value| {
            let answers = Arc::clone(&answers);
            async move {
                // a task of its own: it outlives a backend that ends, and its panic stays its own
                if let Err(error) = tokio::spawn(async move { answer(&answers, queue, payload).await }).await {
                    tracing::error!(queue = queue.kind(), %error, "answering a bell broke: left to the duty");
                }
                Ok::<(), std::convert::Infallible>(())
            }
        });
    let stop = answering.stop_of(queue).clone();
    let signal = async move {
        stop.cancelled().await;
        Ok::<(), WorkerError>(())
    };
    let deadline = async {
        answering.stop_of(queue).cancelled().await;
        tokio::time::sleep(STOPPING).await;
    };
    let ended = tokio::select! {
        ended = worker.run_until(signal) => ended.map_err(|error| error.to_string()),
        () = deadline => Ok(()),
    };
    tidy::forget_consumer(bell, queue, &name).await;
    ended
}

/// Always succeeds: what failed is said in rows, and apalis's own attempts (25 of them, whatever was asked) stay unused.
async fn answer(answering: &Answering, queue: Queue, payload: Value) {
    match serde_json::from_value::<Job>(payload) {
        Ok(job) => answering.queued(queue, job).await,
        Err(error) => tracing::warn!(queue = queue.kind(), %error, "not a bell of this release: left to the duty"),
    }
}
