//! Follows one webhook: turns the events behind its cursor into deliveries, and posts those whose time has come. What it
//! knows stands in rows, so it may be killed at any moment: the next owner posts again what was not written as delivered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::bus::Subscription;
use common::clock;
use common::id::{TenantId, WebhookId};
use common::store::webhooks::follow::{self, Due, Held};
use common::store::{Result, events};
use common::telemetry::metrics;
use common::webhook::{retry, signature};
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::Means;
use super::http::{Failure, Post};

/// Events read at one time.
const PAGE: i64 = 100;
/// While so many deliveries wait, events stay where they are.
const WAITING_MAX: i64 = 1_000;
/// Deliveries of one round.
const BATCH: i64 = 64;
/// Requests to one webhook at a time, each of another account.
const LANES: usize = 4;
/// A lane that has taken this long leaves the rest to the next round.
const LANE_MAX: Duration = Duration::from_secs(20);
/// Rows are looked at this often when no signal comes.
const SLOW_POLL: Duration = Duration::from_secs(30);
/// Rows are looked at again after this when a running transaction holds newer events back.
const HELD_BACK: Duration = Duration::from_millis(20);
/// Past a delivery's time by this, so that the database's clock has certainly reached it.
const PAST: Duration = Duration::from_millis(5);
/// The wait before a database that did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// One webhook's task.
pub(super) struct Follower {
    means: Arc<Means>,
    tenant: TenantId,
    webhook: WebhookId,
}

/// What follows a round.
enum Rest {
    /// There may be more.
    None,
    /// Nothing before this has passed, whatever is signaled.
    Pause(Duration),
    /// Nothing before this has passed, or something is signaled.
    UntilSignaled(Duration),
}

/// What became of an attempt, for those behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Went {
    Well,
    /// Those behind it in its lane may go all the same.
    Badly,
    /// Those behind it in its lane wait.
    BadlyAndHolds,
    /// The receiver wants no more.
    Gone,
}

impl Follower {
    pub(super) fn new(means: Arc<Means>, tenant: TenantId, webhook: WebhookId) -> Self {
        Self { means, tenant, webhook }
    }

    /// Until the webhook is not ours any more, or `stop` is cancelled; a round under way posts nothing new then.
    pub(super) async fn follow(self, stop: CancellationToken) {
        // Listen before looking, so that nothing falls between.
        let mut signals = self.means.bus.subscribe(self.tenant);
        while !stop.is_cancelled() {
            let rest = match self.round(&stop).await {
                Ok(Some(rest)) => rest,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, webhook = %self.webhook, "a webhook waits for the database");
                    Rest::Pause(AGAIN)
                }
            };
            tokio::select! {
                () = rested(rest, &mut signals) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// One look at the rows and what follows from it; none: the webhook is gone, disabled or another worker's.
    async fn round(&self, stop: &CancellationToken) -> Result<Option<Rest>> {
        let Self { means, tenant, webhook } = self;
        let rows = means.rows.acquire().await;
        let Some(held) = follow::held(&means.pool, *tenant, *webhook, means.worker, WAITING_MAX).await? else {
            return Ok(None);
        };
        let mut rest = None;
        if held.waiting < WAITING_MAX {
            let page = events::after(&means.pool, *tenant, held.cursor, None, PAGE).await?;
            rest = match (page.held_back, page.events.is_empty()) {
                (true, _) => Some(Rest::Pause(HELD_BACK)),
                (false, false) => Some(Rest::None),
                (false, true) => None,
            };
            let taken = page.events.is_empty()
                || follow::take(&means.pool, *tenant, (*webhook, means.worker), &held, page.events).await?;
            if !taken {
                return Ok(Some(Rest::None));
            }
        }
        let down = held.failures >= retry::DOWN_AFTER;
        let (due, next) = follow::due(&means.pool, *tenant, *webhook, if down { 1 } else { BATCH }).await?;
        drop(rows);
        if due.is_empty() {
            let next = next.map_or(SLOW_POLL, |next| (next + PAST).min(SLOW_POLL));
            return Ok(Some(rest.unwrap_or(Rest::UntilSignaled(next))));
        }
        let ends = self.post_all(&held, due, stop).await?;
        self.after(&held, &ends).await.map(Some)
    }

    /// What the ends of a round's attempts mean for the next.
    async fn after(&self, held: &Held, ends: &[Went]) -> Result<Rest> {
        let Self { means, tenant, webhook } = self;
        if ends.contains(&Went::Gone) {
            self.disable("gone", Duration::ZERO).await?;
            return Ok(Rest::None);
        }
        if ends.contains(&Went::Well) {
            if held.failures >= retry::DOWN_AFTER {
                follow::try_at_once(&mut *means.pool.acquire().await?, *tenant, *webhook).await?;
            }
            return Ok(Rest::None);
        }
        let failing_for = held.failing_since.map(|since| (clock::now() - since).to_std().unwrap_or_default());
        if failing_for.is_some_and(|failing_for| failing_for >= retry::DISABLED_AFTER) {
            self.disable("failing", retry::DISABLED_AFTER).await?;
        }
        let failures = held.failures.saturating_add(i32::try_from(ends.len()).unwrap_or(i32::MAX));
        Ok(Rest::Pause(retry::pause(failures)))
    }

    async fn disable(&self, reason: &str, failing_for: Duration) -> Result<()> {
        if follow::disable(&self.means.pool, self.tenant, self.webhook, reason, failing_for).await? {
            tracing::info!(webhook = %self.webhook, reason, "a webhook was disabled");
            metrics::WEBHOOKS_DISABLED.with_label_values(&[reason]).inc();
            self.means.bus.signal(self.tenant);
        }
        Ok(())
    }

    /// Posts what is due: lanes beside each other, each in its order.
    async fn post_all(&self, held: &Held, due: Vec<Due>, stop: &CancellationToken) -> Result<Vec<Went>> {
        let mut lanes: BTreeMap<_, Vec<Due>> = BTreeMap::new();
        for due in due {
            lanes.entry(due.lane).or_default().push(due);
        }
        let lanes = lanes.into_values().map(|lane| self.post_lane(held, lane, stop));
        let ends: Vec<Result<Vec<Went>>> = futures::stream::iter(lanes).buffer_unordered(LANES).collect().await;
        let ends: Result<Vec<Vec<Went>>> = ends.into_iter().collect();
        ends.map(|ends| ends.concat())
    }

    async fn post_lane(&self, held: &Held, lane: Vec<Due>, stop: &CancellationToken) -> Result<Vec<Went>> {
        let start = tokio::time::Instant::now();
        let mut ends = Vec::new();
        for due in lane {
            if stop.is_cancelled() || start.elapsed() > LANE_MAX {
                break;
            }
            let went = self.post(held, due).await?;
            ends.push(went);
            if matches!(went, Went::BadlyAndHolds | Went::Gone) {
                break;
            }
        }
        Ok(ends)
    }

    /// One attempt, and its end in the row.
    async fn post(&self, held: &Held, due: Due) -> Result<Went> {
        let Self { means, tenant, webhook } = self;
        let (id, body) = (due.id.to_string(), due.happened.to_json());
        let timestamp = clock::now().timestamp();
        let secrets = [Some(held.secret.as_str()), held.previous_secret.as_deref()];
        let signature = signature::header(secrets.into_iter().flatten(), &id, timestamp, &body);
        let answer = {
            let _room = means.sending.acquire().await;
            means.sender.post(Post { url: &held.url, id: &id, timestamp, signature: &signature, body }).await
        };
        let _rows = means.rows.acquire().await;
        let failure = match answer {
            Ok(status) => {
                let seconds = follow::delivered(&means.pool, *tenant, due.id, status).await?;
                metrics::WEBHOOK_ATTEMPTS.with_label_values(&["delivered"]).inc();
                if let Some(seconds) = seconds {
                    metrics::WEBHOOK_DELIVERY_SECONDS.observe(seconds);
                }
                return Ok(Went::Well);
            }
            Err(failure) => failure,
        };
        let attempts = due.attempts.saturating_add(1);
        let again_in = retry::wait(attempts, rand::random());
        let (status, word) = (failure.status(), failure.word());
        follow::failed(&means.pool, *tenant, (due.id, due.attempts), (status, word), again_in).await?;
        let outcome = if again_in.is_some() { "retry" } else { "failed" };
        metrics::WEBHOOK_ATTEMPTS.with_label_values(&[outcome]).inc();
        tracing::debug!(%webhook, delivery = %due.id, attempts, status, word, outcome, "an attempt failed");
        Ok(match (failure, again_in) {
            (Failure::Status(410), _) => Went::Gone,
            (_, Some(_)) if attempts < retry::HOLDS_ATTEMPTS => Went::BadlyAndHolds,
            _ => Went::Badly,
        })
    }
}

async fn rested(rest: Rest, signals: &mut Subscription) {
    match rest {
        Rest::None => {}
        Rest::Pause(time) => tokio::time::sleep(time).await,
        Rest::UntilSignaled(time) => {
            let _ = tokio::time::timeout(time, signals.signaled()).await;
        }
    }
}
