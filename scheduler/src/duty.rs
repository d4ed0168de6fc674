//! What a duty is, and the loop that repeats it. A round that fails is logged, and the next one follows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use process::telemetry::metrics;
use process::telemetry::metrics::labels as label;
use process::telemetry::metrics::labels::DutyOutcome;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// The time limit of a round. After it the round is cancelled, and its uncommitted transaction is rolled back.
const ROUND_MAX: Duration = Duration::from_secs(60);

/// Work that has to be done regularly. Several schedulers do the same duty at the same time: a duty locks the rows it
/// changes, skips rows that are locked, and relies on unique keys for the rest.
#[async_trait]
pub trait Duty: Send + Sync + 'static {
    /// The name of its file, as used in logs and metrics.
    fn name(&self) -> &'static str;

    /// The pause between two rounds, unless a round asks for a shorter one.
    fn interval(&self) -> Duration;

    /// The pause after a round that failed.
    fn retry_after(&self) -> Duration {
        self.interval()
    }

    /// Waits until there may be something to do before the pause is over. By default it waits for ever.
    async fn woken(&self, context: &Context) {
        let _ = context;
        std::future::pending().await
    }

    /// Does what is due now, in steps of limited size.
    async fn run_once(&self, context: &Context) -> anyhow::Result<Round>;
}

/// The result of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// How many items were handled. What an item is depends on the duty.
    pub done: usize,
    /// When there will be something to do, if known. It counts only if it is sooner than the interval.
    pub next_in: Option<Duration>,
}

impl Round {
    /// A round that does not know when the next one is due.
    #[must_use]
    pub fn of(done: usize) -> Self {
        Self { done, next_in: None }
    }
}

/// Counts the rounds of one duty. Tests wait for them instead of sleeping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rounds {
    /// How many rounds have run.
    pub begun: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How many items they handled in all.
    pub done: usize,
}

/// Repeats a duty until `stop` is cancelled. A round under way is finished first.
pub async fn keep_doing(duty: Arc<dyn Duty>, context: Context, rounds: watch::Sender<Rounds>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let round = do_once(&duty, &context).await;
        context.pulse.beat();
        rounds.send_modify(|rounds| {
            rounds.begun += 1;
            rounds.failed += u64::from(round.is_none());
            rounds.done += round.map_or(0, |round| round.done);
        });
        let rest = match round {
            Some(round) => rest(duty.interval(), round.next_in, rand::random()),
            None => duty.retry_after(),
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = duty.woken(&context) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Runs one round in a task of its own, so that a panic ends the round and not the duty. Returns `None` if it failed.
async fn do_once(duty: &Arc<dyn Duty>, context: &Context) -> Option<Round> {
    let name = duty.name();
    let began = Instant::now();
    let (doing, with) = (Arc::clone(duty), context.clone());
    let round = tokio::spawn(async move { tokio::time::timeout(ROUND_MAX, doing.run_once(&with)).await });
    let round = round.await;
    metrics::DUTY_SECONDS.of(label::Duty(name)).observe_with_trace(began.elapsed().as_secs_f64());
    let failure = match round {
        Ok(Ok(Ok(round))) => {
            metrics::DUTY_RUNS.of((label::Duty(name), DutyOutcome::Ok)).inc();
            metrics::DUTY_LAST_SUCCESS.of(label::Duty(name)).set(metrics::epoch_seconds());
            if round.done > 0 {
                tracing::debug!(duty = name, done = round.done, "done");
            }
            return Some(round);
        }
        Ok(Ok(Err(error))) => format!("{error:#}"),
        Ok(Err(_)) => format!("took longer than {ROUND_MAX:?}"),
        Err(error) => error.to_string(),
    };
    metrics::DUTY_RUNS.of((label::Duty(name), DutyOutcome::Error)).inc();
    tracing::warn!(duty = name, failure, "a round failed; the next one comes");
    None
}

/// The pause before the next round: what the round asked for, or at most the interval. The interval is shortened by up
/// to a tenth at random, so that several schedulers do not run in step.
fn rest(interval: Duration, asked: Option<Duration>, luck: f64) -> Duration {
    let jittered = interval.mul_f64(1.0 - 0.1 * luck.clamp(0.0, 1.0));
    asked.map_or(jittered, |asked| asked.min(jittered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_never_longer_than_the_interval() {
        let second = Duration::from_secs(1);
        assert_eq!(rest(second, None, 0.0), second);
        assert_eq!(rest(second, None, 1.0), Duration::from_millis(900));
        assert_eq!(rest(second, Some(Duration::from_millis(300)), 0.5), Duration::from_millis(300));
        assert_eq!(rest(second, Some(Duration::from_secs(9)), 0.0), second);
        assert_eq!(rest(second, Some(Duration::ZERO), 0.0), Duration::ZERO);
    }
}
