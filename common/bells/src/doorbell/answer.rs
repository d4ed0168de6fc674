//! Answers one bell: limits the handler's time, catches its panics, and interprets its answer.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ring::about;
use super::{Doorbell, Handler, Noted, Path};
use domain::id::WorkerId;
use domain::job::{Answer, HOPS_MAX, Job, Queue};
use process::telemetry::trace::{self, Destination, Step};

/// How many published bells are answered at the same time. The jobs of further ones wait in the queue.
const AT_ONCE: usize = 512;
/// How many bells may wait to be rung again. Further ones are left to the scheduler's duty.
const WAITING: usize = 1_000;
/// A longer snooze is left to the scheduler's duty.
const SNOOZE_MAX: Duration = Duration::from_secs(60);
/// How long a bell that this worker may not answer waits before it is passed on.
const PASS_ON: Duration = Duration::from_millis(250);
/// The first wait after a failure. It doubles with each further one.
const RETRY: Duration = Duration::from_millis(500);

/// The listening side of one worker.
pub(super) struct Answering {
    pub(super) bell: Doorbell,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) worker: WorkerId,
    stop: CancellationToken,
    /// Not cancelled before `stop`.
    pub(super) last: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) at_once: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Answering {
    pub(super) fn new(
        bell: Doorbell,
        worker: WorkerId,
        handler: Arc<dyn Handler>,
        stop: CancellationToken,
        last: CancellationToken,
    ) -> Self {
        Self {
            bell,
            handler,
            worker,
            stop,
            last,
            tasks: TaskTracker::new(),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }

    /// The token that ends the listening to a queue.
    pub(super) fn stop_of(&self, queue: Queue) -> &CancellationToken {
        if queue.shared() { &self.stop } else { &self.last }
    }

    /// Answers a job from a queue.
    pub(super) async fn queued(&self, queue: Queue, job: Job) {
        // before the handler reads the rows: a ring from now on creates a new job, so nothing committed later is missed
        let mut connection = self.bell.consuming.clone();
        let released = redis::cmd("DEL").arg(self.bell.keys.rung(queue, &job.bell)).exec_async(&mut connection).await;
        if let Err(error) = released {
            tracing::debug!(%error, bell = %job.bell, "the bell coalesces until its key expires");
        }
        let answer = self.respond(&job, Path::Queue).await;
        self.interpret(job, answer);
    }

    /// Answers a published bell. The queue holds its job as well, so nothing is passed on from here.
    pub(super) async fn published(&self, job: Job) {
        self.respond(&job, Path::Channel).await;
    }

    /// Tells the handler to look at everything, and catches its panics.
    pub(super) async fn look_at_everything(&self) {
        let looked = AssertUnwindSafe(self.handler.look_at_everything()).catch_unwind().await;
        if let Err(panic) = looked {
            tracing::error!(panic = words(panic.as_ref()), "looking at everything panicked");
        }
    }

    async fn respond(&self, job: &Job, path: Path) -> Answer {
        let limit = self.bell.timing.handling;
        let began = Instant::now();
        let step = step(job, path);
        let handling = step.around(AssertUnwindSafe(self.handler.answer(job.clone())).catch_unwind());
        let answer = match tokio::time::timeout(limit, handling).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => {
                tracing::error!(bell = %job.bell, panic = words(panic.as_ref()), "a handler panicked");
                Answer::Retry("the handler panicked".to_owned())
            }
            Err(_) => Answer::Retry(format!("the handler took longer than {limit:?}")),
        };
        step.outcome(answer.word());
        if matches!(answer, Answer::Retry(_) | Answer::GiveUp(_)) {
            step.fails(&answer.word());
        }
        self.handler.noted(&Noted::Answered { bell: job.bell, path, answer: answer.clone(), took: began.elapsed() });
        answer
    }

    fn interpret(&self, job: Job, answer: Answer) {
        match answer {
            Answer::Done => {}
            Answer::GiveUp(reason) => tracing::warn!(bell = %job.bell, reason, "given up"),
            Answer::Snooze(wait) if wait > SNOOZE_MAX => {
                tracing::debug!(bell = %job.bell, ?wait, "left to the duty");
            }
            Answer::Snooze(wait) => self.ring_later(job, wait),
            Answer::Retry(reason) => {
                tracing::warn!(bell = %job.bell, hops = job.hops, reason, "to be tried again");
                let wait = RETRY * 2u32.pow(u32::from(job.hops.min(HOPS_MAX)));
                self.ring_later(job, wait);
            }
            Answer::NotMine => self.ring_later(job, PASS_ON),
        }
    }

    /// Rings again after a while, wherever the bell belongs by then. A bell that is dropped here is rung by the
    /// scheduler's duty.
    fn ring_later(&self, mut job: Job, wait: Duration) {
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else { return };
        if job.hops >= HOPS_MAX {
            tracing::debug!(bell = %job.bell, "passed on often enough: left to the duty");
            return;
        }
        job.hops += 1;
        let (bell, last) = (self.bell.clone(), self.last.clone());
        self.tasks.spawn(async move {
            // after a stop the bell is passed on at once, because another worker may take it
            let _ = tokio::time::timeout(wait, last.cancelled()).await;
            if let Err(error) = bell.ring_jobs(std::slice::from_ref(&job)).await {
                tracing::debug!(%error, bell = %job.bell, "not passed on: left to the duty");
            }
            drop(place);
        });
    }
}

fn step(job: &Job, path: Path) -> Step {
    let step = trace::process(Destination::Doorbell, job.trace.as_deref()).kind(job.bell.kind()).path(path.word());
    about(step, &job.bell)
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}
