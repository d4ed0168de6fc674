//! Removes what apalis-redis keeps for ever: finished jobs, and the inboxes of dead workers.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use apalis_redis::Config;

use super::answer::Answering;
use super::{Doorbell, Result};
use domain::job::Queue;

/// The most jobs that one call of the script removes: Redis does nothing else meanwhile.
const BATCH: usize = 500;
/// How many calls of the script one round makes for each set of jobs.
const ROUNDS: usize = 40;
/// A queue whose consumers have been silent for this long counts as dead. This is far above a lease's life, so nobody
/// rings there any more.
const DEAD_AFTER: Duration = Duration::from_secs(120);
/// The set in which apalis-redis records every queue that ever had a consumer.
const QUEUES: &str = "core:apalis:queues:list";

static CLEAR: LazyLock<redis::Script> = LazyLock::new(|| redis::Script::new(include_str!("../lua/clear_finished.lua")));

static DROP: LazyLock<redis::Script> = LazyLock::new(|| redis::Script::new(include_str!("../lua/drop_queue.lua")));

/// Removes finished jobs until told to stop.
pub(super) async fn keep_tidy(answering: Arc<Answering>) {
    let queues = [Queue::Inbox(answering.worker), Queue::Claim, Queue::FireReminder];
    let bell = &answering.bell;
    while tokio::time::timeout(bell.timing.tidy, answering.last.cancelled()).await.is_err() {
        for queue in queues {
            if let Err(error) = bell.clear_finished(queue).await {
                tracing::debug!(%error, queue = queue.kind(), "finished jobs stay for now");
            }
        }
    }
}

/// Removes the data of a consumer that has ended. The heartbeats of other consumers recover the jobs it had in hand.
pub(super) async fn forget_consumer(bell: &Doorbell, queue: Queue, name: &str) {
    let key = format!("{}:metadata:{name}", bell.config(queue).workers_set());
    let mut connection = bell.consuming.clone();
    let forgotten = async { redis::cmd("DEL").arg(key).exec_async(&mut connection).await };
    let _ = tokio::time::timeout(Duration::from_millis(500), forgotten).await;
}

impl Doorbell {
    /// Removes finished jobs of one queue, in small steps. Returns how many.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn clear_finished(&self, queue: Queue) -> Result<usize> {
        let config = self.config(queue);
        let mut cleared = 0;
        for set in [config.done_jobs_set(), config.dead_jobs_set()] {
            for _ in 0..ROUNDS {
                let mut call = CLEAR.key(&set);
                call.key(config.job_data_hash()).arg(config.job_meta_hash()).arg(BATCH);
                let step: usize = call.invoke_async(&mut self.consuming.clone()).await?;
                cleared += step;
                if step < BATCH {
                    break;
                }
            }
        }
        Ok(cleared)
    }

    /// How many unanswered bells lie in a queue.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn due(&self, queue: Queue) -> Result<usize> {
        let config = self.config(queue);
        let (active, scheduled): (usize, usize) = redis::pipe()
            .llen(config.active_jobs_list())
            .zcard(config.scheduled_jobs_set())
            .query_async(&mut self.consuming.clone())
            .await?;
        Ok(active + scheduled)
    }

    /// Drops the inboxes of workers that have been dead for minutes. Returns how many. The scheduler calls this as a
    /// duty.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn drop_dead_inboxes(&self) -> Result<usize> {
        let mut connection = self.consuming.clone();
        let (seconds, _): (i64, i64) = redis::cmd("TIME").query_async(&mut connection).await?;
        let dead_before = seconds - i64::try_from(DEAD_AFTER.as_secs()).unwrap_or(i64::MAX);
        let queues: Vec<String> = redis::cmd("ZRANGEBYSCORE")
            .arg(QUEUES)
            .arg("-inf")
            .arg(dead_before)
            .arg("LIMIT")
            .arg(0)
            .arg(BATCH)
            .query_async(&mut connection)
            .await?;
        let mut dropped = 0;
        for queue in queues {
            if let Some(worker) = self.keys.inbox_of(&queue) {
                dropped += usize::from(self.drop_queue(Queue::Inbox(worker), dead_before).await?);
            }
        }
        Ok(dropped)
    }

    /// Drops a queue whose newest consumer was last seen before the given second. Returns false if the queue is still
    /// alive.
    pub(super) async fn drop_queue(&self, queue: Queue, dead_before: i64) -> Result<bool> {
        let config = self.config(queue);
        loop {
            let mut call = drop_call(&config);
            call.arg(config.job_meta_hash()).arg(config.inflight_jobs_set()).arg(QUEUES).arg(dead_before).arg(BATCH);
            match call.invoke_async::<u8>(&mut self.consuming.clone()).await? {
                0 => return Ok(false),
                1 => return Ok(true),
                _ => {}
            }
        }
    }
}

fn drop_call(config: &Config) -> redis::ScriptInvocation<'static> {
    let mut call = DROP.key(config.workers_set());
    call.key(config.job_data_hash())
        .key(config.active_jobs_list())
        .key(config.scheduled_jobs_set())
        .key(config.done_jobs_set())
        .key(config.dead_jobs_set())
        .key(config.failed_jobs_set())
        .key(config.signal_list());
    call
}
