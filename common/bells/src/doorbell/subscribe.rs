//! Hears published bells at once. This is best effort: the queue holds the job of every bell that is missed here.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use redis::AsyncTypedCommands as _;

use super::answer::Answering;
use super::ring::Published;
use super::{Error, Noted, Result};
use domain::job::{Job, Queue};

/// How long Redis may take to subscribe, or to answer a ping.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a silent connection is pinged.
const PING: Duration = Duration::from_secs(5);
/// The shortest and the longest wait between a lost subscription and the next.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long Redis remembers that a worker has taken a published bell, in milliseconds.
const TAKEN_MS: u64 = 5_000;

/// Hears the worker's channels until told to stop, with as many subscriptions, one after another, as that takes.
pub(super) async fn hear(answering: Arc<Answering>) {
    let mut backoff = BACKOFF.0;
    let mut start = 0;
    loop {
        let before = start;
        let ended = tokio::select! {
            ended = hear_once(&answering, &mut start) => ended,
            () = answering.last.cancelled() => return,
        };
        let reason = ended.err().map_or_else(|| "the connection ended".to_owned(), |error| error.to_string());
        tracing::debug!(reason, "the bells' channels were lost: subscribing anew");
        answering.handler.noted(&Noted::Unsubscribed { reason });
        backoff = if start > before { BACKOFF.0 } else { (backoff * 2).min(BACKOFF.1) };
        if tokio::time::timeout(backoff, answering.last.cancelled()).await.is_ok() {
            return;
        }
    }
}

async fn hear_once(answering: &Arc<Answering>, start: &mut u32) -> Result<()> {
    let keys = &answering.bell.keys;
    let inbox = keys.bell(Queue::Inbox(answering.worker));
    let channels = [inbox.clone(), keys.bell(Queue::Claim), keys.bell(Queue::FireReminder)];
    let pubsub = patiently(answering.bell.client.get_async_pubsub()).await?;
    let (mut sink, mut stream) = pubsub.split();
    patiently(sink.subscribe(&channels)).await?;
    *start += 1;
    answering.handler.noted(&Noted::Subscribed { start: *start });
    let everything = Arc::clone(answering);
    answering.tasks.spawn(async move { everything.look_at_everything().await });
    loop {
        match tokio::time::timeout(PING, stream.next()).await {
            Ok(Some(message)) => {
                let shared = message.get_channel_name() != inbox;
                receive(answering, message.get_payload_bytes(), shared);
            }
            Ok(None) => return Ok(()),
            Err(_) => patiently(sink.ping::<redis::Value>()).await.map(drop)?,
        }
    }
}

/// Answers a bell in a task of its own, unless too many are being answered.
fn receive(answering: &Arc<Answering>, payload: &[u8], shared: bool) {
    if shared && answering.stop_of(Queue::Claim).is_cancelled() {
        return; // others take it
    }
    let Ok(published) = serde_json::from_slice::<Published>(payload) else {
        tracing::debug!("not a bell of this release: left to the duty");
        return;
    };
    let Ok(place) = Arc::clone(&answering.at_once).try_acquire_owned() else {
        answering.handler.noted(&Noted::Overrun);
        return;
    };
    let answering = Arc::clone(answering);
    let tasks = answering.tasks.clone();
    tasks.spawn(async move {
        if !shared || takes(&answering, &published).await {
            let job: Job = published.job;
            answering.published(job).await;
        }
        drop(place);
    });
}

/// Takes a bell that every worker on a shared channel hears: the first one gets it. On an error it is not taken,
/// because its job lies in the queue.
async fn takes(answering: &Answering, published: &Published) -> bool {
    let key = answering.bell.keys.taken(published.ring);
    let options = redis::SetOptions::default()
        .conditional_set(redis::ExistenceCheck::NX)
        .with_expiration(redis::SetExpiry::PX(TAKEN_MS));
    let mut connection = answering.bell.consuming.clone();
    let set = patiently(connection.set_options(key, answering.worker.to_string(), options)).await;
    set.is_ok_and(|answer| answer.is_some())
}

async fn patiently<T>(doing: impl Future<Output = redis::RedisResult<T>>) -> Result<T> {
    match tokio::time::timeout(PATIENCE, doing).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Error::timeout(PATIENCE)),
    }
}
