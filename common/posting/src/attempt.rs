//! One attempt to post one delivery, and what its end means for others.

use std::sync::Arc;
use std::time::Duration;

use domain::id::DeliveryId;
use domain::webhook::retry::{self, Fault};
use domain::webhook::signature;
use process::clock;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::AttemptOutcome;
use process::telemetry::trace::{self, Destination};
use store::webhooks::follow::Held;
use store::webhooks::settle::End;

use super::http::Post;
use super::webhook::{Follower, Room};

/// What is posted.
pub(super) struct Attempt<'a> {
    pub(super) delivery: DeliveryId,
    /// How many attempts went before.
    pub(super) attempts: i32,
    /// How old the delivery is.
    pub(super) age: Duration,
    /// The time since the event, if it is measured when the receiver answers.
    pub(super) since: Option<Duration>,
    pub(super) kind: &'a str,
    /// The W3C `traceparent` of the event's trace.
    pub(super) trace: Option<&'a str>,
    pub(super) body: String,
}

/// The result of an attempt, as it matters to the deliveries behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    Well,
    /// The receiver is reachable, but refuses this event.
    Refused,
    /// Failed. The deliveries behind it in its lane may go.
    Badly,
    /// Failed. The deliveries behind it in its lane wait.
    BadlyAndHolds,
    /// The receiver limits its rate: all deliveries wait this long.
    Later(Duration),
    /// The receiver wants no more events.
    Gone,
}

impl Follower {
    /// Makes one attempt. Its end is not written yet.
    pub(super) async fn attempt(&self, held: &Held, attempt: Attempt<'_>, room: Room<'_>) -> (Went, End) {
        let Attempt { delivery, attempts, age, since, kind, trace, body } = attempt;
        let step = trace::process(Destination::Events, trace)
            .tenant(self.tenant)
            .webhook(self.webhook)
            .message(&delivery)
            .kind(kind)
            .attempt(attempts.saturating_add(1));
        let (id, timestamp) = (delivery.to_string(), clock::now().timestamp());
        let secrets = [Some(held.secret.as_str()), held.previous_secret.as_deref()];
        let signature = signature::header(secrets.into_iter().flatten(), &id, timestamp, &body);
        let place = Some(Arc::clone(&room.place));
        let post = Post { url: &held.url, id: &id, timestamp, signature: &signature, body, place };
        let (begun, posting) = (tokio::time::Instant::now(), step.post());
        let answer = self.means.sender.post(post).await;
        match &answer {
            Ok(status) => posting.answered(*status, false),
            Err(failure) => match failure.status() {
                Some(status) => posting.answered(status, false),
                None => posting.fails(&failure.word()),
            },
        }
        drop((posting, room));
        let failure = match answer {
            Ok(status) => {
                metrics::WEBHOOK_ATTEMPTS.of(AttemptOutcome::Delivered).inc();
                if let Some(since) = since {
                    metrics::WEBHOOK_DELIVERY_SECONDS.observe_with_trace((since + begun.elapsed()).as_secs_f64());
                }
                return (Went::Well, End::Delivered(status));
            }
            Err(failure) => failure,
        };
        let (status, word) = (failure.status(), failure.word());
        step.fails(&word);
        let fault = retry::fault(status, failure.retry_after());
        let verdict = retry::verdict(fault, attempts, age, rand::random());
        let outcome = if verdict.again_in.is_some() { AttemptOutcome::Retry } else { AttemptOutcome::Failed };
        metrics::WEBHOOK_ATTEMPTS.of(outcome).inc();
        let (outcome, webhook) = (outcome.as_str(), self.webhook);
        tracing::debug!(%webhook, %delivery, attempts = verdict.attempts, status, word, outcome, "an attempt failed");
        let went = match fault {
            Fault::Gone => Went::Gone,
            Fault::Event => Went::Refused,
            Fault::Rate(wait) if verdict.again_in.is_some() => Went::Later(wait),
            Fault::Receiver if verdict.holds => Went::BadlyAndHolds,
            Fault::Receiver | Fault::Rate(_) => Went::Badly,
        };
        (went, End::Failed { status, word, verdict, counts: fault != Fault::Event })
    }
}
