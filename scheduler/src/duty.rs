//! What a duty is, and the loop that does it again and again: a round that fails is logged, and the next one comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use process::telemetry::metrics;
use process::telemetry::metrics::labels as label;
use process::telemetry::metrics::labels::DutyOutcome;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// A round that takes longer is given up; what its transaction had not committed did not happen.
const ROUND_MAX: Duration = Duration::from_secs(60);

/// Something that has to be done regularly. Several schedulers do the same duty at the same time: a duty locks the rows it
/// changes, skips rows that are locked, and leaves the rest to unique keys.
#[async_trait]
pub trait Duty: Send + Sync + 'static {
    /// The noun of its file, its logs and its metric.
    fn name(&self) -> &'static str;

    /// How long it rests between two rounds, unless a round says otherwise.
    fn interval(&self) -> Duration;

    /// How long it rests after a round that failed.
    fn retry_after(&self) -> Duration {
        self.interval()
    }

    /// Waits until there may be something to do before the rest is over; a duty that nobody wakes waits for ever.
    async fn woken(&self, context: &Context) {
        let _ = context;
        std::future::pending().await
    }

    /// Does what there is to do now, in bounded steps.
    async fn run_once(&self, context: &Context) -> anyhow::Result<Round>;
}

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// How many things; what they are depends on the duty.
    pub done: usize,
    /// When there will be something to do, if that is known and sooner than the interval.
    pub next_in: Option<Duration>,
}

impl Round {
    /// A round that says nothing about the next.
    #[must_use]
    pub fn of(done: usize) -> Self {
        Self { done, next_in: None }
    }
}

/// Rounds of one duty so far; tests wait for them instead of sleeping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rounds {
    /// All of them.
    pub begun: u64,
    /// Those that failed.
    pub failed: u64,
    /// What they did in all.
    pub done: usize,
}

/// Does a duty until `stop` is cancelled. A round under way is finished first.
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

/// One round in a task of its own, so that a panic ends the round and not the duty; none: it failed.
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

/// The rest before the next round: what the round asked for, else the interval, up to a tenth shorter so that several
/// schedulers don't march in step.
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
