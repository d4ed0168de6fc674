//! The consumer of one queue, and its supervisor. apalis ends a worker on any error of Redis, so the supervisor starts
//! another.

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

/// How many bells of one queue are answered at the same time.
const AT_ONCE: usize = 64;
/// The shortest and the longest wait between a consumer's end and the next start.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// After a consumer that lived this long, the wait starts from the shortest again.
const HEALTHY: Duration = Duration::from_secs(30);
/// How long a graceful stop may take.
const STOPPING: Duration = Duration::from_secs(5);

/// Consumes a queue until told to stop, with as many consumers, one after another, as that takes.
pub(super) async fn supervise(answering: Arc<Answering>, queue: Queue) {
    let mut backoff = BACKOFF.0;
    for start in 1.. {
        let began = Instant::now();
        answering.handler.noted(&Noted::Consuming { queue, start });
        if start > 1 && !queue.shared() {
            // an emptied or restarted Redis has lost bells; while it is unreachable there is nothing to catch up on yet
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

/// Runs one apalis worker. Each start has a new name, because apalis refuses a name until its heartbeat has expired.
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
                // a separate task: it outlives a backend that ends, and a panic in it does not end the consumer
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

/// Never fails: failures are recorded in rows, and apalis's own attempts (always 25, whatever was configured) stay
/// unused.
async fn answer(answering: &Answering, queue: Queue, payload: Value) {
    match serde_json::from_value::<Job>(payload) {
        Ok(job) => answering.queued(queue, job).await,
        Err(error) => tracing::warn!(queue = queue.kind(), %error, "not a bell of this release: left to the duty"),
    }
}
