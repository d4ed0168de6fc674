//! Ringing: one script looks up owners, coalesces bells, counts the jobs in the queues and publishes. Then the jobs are
//! pushed.

use std::collections::HashMap;
use std::sync::LazyLock;

use apalis_redis::RedisTask;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Doorbell, Error, Result};
use crate::keys::Beginnings;
use domain::id::WorkerId;
use domain::job::{Bell, Job, QUEUE_LIMIT, Queue, Rung};
use process::telemetry::metrics;
use process::telemetry::metrics::labels::{BellKind, RingOutcome};
use process::telemetry::trace::{self, Step};

/// The most bells of one script call: Redis does nothing else meanwhile.
const BATCH: usize = 200;

static RING: LazyLock<redis::Script> = LazyLock::new(|| redis::Script::new(include_str!("../lua/ring.lua")));

/// The published message: the job, and a unique id, so that of all workers that hear it on a shared channel only one
/// takes it.
#[derive(Serialize, Deserialize)]
pub(super) struct Published {
    pub(super) ring: Uuid,
    pub(super) job: Job,
}

impl Doorbell {
    /// Rings a bell. The row that the bell points at must be committed before.
    ///
    /// # Errors
    /// If Redis does not complete it within [`super::Timing::ring`]. The row then waits for the duty.
    pub async fn ring(&self, bell: &Bell) -> Result<Rung> {
        let outcomes = self.ring_many(std::slice::from_ref(bell)).await?;
        Ok(outcomes.first().copied().unwrap_or(Rung::Full))
    }

    /// Rings many bells, in a few round trips. Returns one outcome per bell, in order.
    ///
    /// # Errors
    /// As [`Doorbell::ring`]. Some of the bells may have rung.
    pub async fn ring_many(&self, bells: &[Bell]) -> Result<Vec<Rung>> {
        self.ring_steps(bells.iter().map(|bell| (*bell, step(bell, None)))).await
    }

    /// As [`Doorbell::ring_many`], with the W3C `traceparent` of the trace that each bell continues, if there is one.
    ///
    /// # Errors
    /// As [`Doorbell::ring_many`].
    pub async fn ring_traced(&self, bells: &[(Bell, Option<String>)]) -> Result<Vec<Rung>> {
        self.ring_steps(bells.iter().map(|(bell, after)| (*bell, step(bell, after.as_deref())))).await
    }

    async fn ring_steps(&self, bells: impl Iterator<Item = (Bell, Step)>) -> Result<Vec<Rung>> {
        let (jobs, steps): (Vec<Job>, Vec<Step>) =
            bells.map(|(bell, step)| (Job::new(bell, step.context()), step)).unzip();
        let rung = self.ring_jobs(&jobs).await;
        for (place, step) in steps.iter().enumerate() {
            step.heard(&rung);
            if let Some(rung) = rung.as_ref().ok().and_then(|rung| rung.get(place)) {
                step.outcome(RingOutcome::from(*rung).as_str());
            }
        }
        rung
    }

    /// Rings jobs, including those that are being passed on.
    pub(super) async fn ring_jobs(&self, jobs: &[Job]) -> Result<Vec<Rung>> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for batch in jobs.chunks(BATCH) {
            let rung = tokio::time::timeout(self.timing.ring, self.ring_batch(batch)).await;
            let rung = rung.unwrap_or_else(|_| Err(Error::timeout(self.timing.ring)));
            if rung.is_err() {
                count(&jobs[outcomes.len()..], RingOutcome::Failed);
            }
            outcomes.extend(rung?);
        }
        Ok(outcomes)
    }

    async fn ring_batch(&self, jobs: &[Job]) -> Result<Vec<Rung>> {
        let placed = self.place(jobs).await?;
        let mut pushes: HashMap<Queue, Vec<&Job>> = HashMap::new();
        for (job, (rung, queue)) in jobs.iter().zip(&placed) {
            count(std::slice::from_ref(job), RingOutcome::from(*rung));
            if *rung == Rung::Rung {
                pushes.entry(*queue).or_default().push(job);
            }
        }
        try_join_all(pushes.iter().map(|(queue, jobs)| self.push(*queue, jobs))).await?;
        Ok(placed.into_iter().map(|(rung, _)| rung).collect())
    }

    /// Runs the script. Returns the outcome of each bell, and the queue it belongs to.
    async fn place(&self, jobs: &[Job]) -> Result<Vec<(Rung, Queue)>> {
        let names = apalis_redis::Config::default().queue("");
        let mut call = RING.prepare_invoke();
        let Beginnings { lease, bell, rung, queue, inbox } = self.keys.beginnings();
        call.arg(lease)
            .arg(bell)
            .arg(rung)
            .arg(queue)
            .arg(inbox)
            .arg(names.active_jobs_list())
            .arg(names.scheduled_jobs_set())
            .arg(u64::try_from(self.timing.coalesce.as_millis()).unwrap_or(u64::MAX))
            .arg(QUEUE_LIMIT);
        for job in jobs {
            let account = job.bell.account().map(|account| account.to_string()).unwrap_or_default();
            let published = serde_json::to_string(&Published { ring: Uuid::new_v4(), job: job.clone() })?;
            call.arg(job.bell.to_string()).arg(account).arg(job.bell.queue(None).kind()).arg(published);
        }
        let answers: Vec<String> = call.invoke_async(&mut self.ringing.clone()).await?;
        let (answers, _) = answers.as_chunks::<2>();
        Ok(jobs.iter().zip(answers).map(|(job, [outcome, owner])| placed(job, outcome, owner)).collect())
    }

    async fn push(&self, queue: Queue, jobs: &[&Job]) -> Result<()> {
        let tasks = jobs
            .iter()
            .map(|job| serde_json::to_vec(job).map(RedisTask::new))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let mut connection = self.ringing.clone();
        let pushed = apalis_redis::queries::push_tasks(&mut connection, &self.config(queue), &tasks).await;
        if pushed.is_err() {
            let rung: Vec<String> = jobs.iter().map(|job| self.keys.rung(queue, &job.bell)).collect();
            let _: redis::RedisResult<()> = redis::cmd("DEL").arg(rung).query_async(&mut connection).await;
        }
        pushed?;
        Ok(())
    }
}

fn step(bell: &Bell, after: Option<&str>) -> Step {
    about(trace::ring(bell.kind(), after), bell)
}

/// Records the account or run of a bell in a trace step.
pub(super) fn about(step: Step, bell: &Bell) -> Step {
    match bell {
        Bell::Pair { account } | Bell::Unpair { account } | Bell::Send { account } => step.account(*account),
        Bell::FireReminder { run } => step.message(run),
    }
}

fn placed(job: &Job, outcome: &str, owner: &str) -> (Rung, Queue) {
    let rung = match outcome {
        "rung" => Rung::Rung,
        "coalesced" => Rung::Coalesced,
        _ => Rung::Full,
    };
    (rung, job.bell.queue(owner.parse::<WorkerId>().ok()))
}

fn count(jobs: &[Job], outcome: RingOutcome) {
    for job in jobs {
        metrics::BELLS_RUNG.of((BellKind::from(&job.bell), outcome)).inc();
    }
}
