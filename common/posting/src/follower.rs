//! Follows one webhook: turns the events behind its cursor into deliveries, and posts the deliveries that are due. Its
//! state is in rows, so it may be killed at any moment: the next owner posts again whatever was not written as
//! delivered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bells::bus::Subscription;
use domain::id::{TenantId, WebhookId};
use domain::webhook::retry::{self, Fault};
use domain::webhook::signature;
use futures::StreamExt as _;
use process::clock;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::{AttemptOutcome, DisabledReason};
use process::telemetry::trace::{self, Destination};
use store::webhooks::ends;
use store::webhooks::follow::{self, Due, Held};
use store::{Result, answered, events};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::http::Post;
use super::means::Means;

/// How many events are read at once.
const PAGE: i64 = 100;
/// While this many deliveries that hold others up are waiting, no further events are read.
const WAITING_MAX: i64 = 1_000;
/// How many waiting deliveries that hold nobody up (they were refused or have failed often) are kept. Beyond that the
/// oldest are given up.
const PASSED_MAX: i64 = 10_000;
/// The most deliveries of one round.
const BATCH: i64 = 64;
/// How many requests to one webhook run at the same time, each for another account.
const LANES: usize = 4;
/// A lane whose requests have taken this long leaves the rest to the next round.
const LANE_MAX: Duration = Duration::from_secs(20);
/// How often the rows are read while no signal comes.
const SLOW_POLL: Duration = Duration::from_secs(30);
/// How soon the rows are read again while a running transaction holds back newer events.
const HELD_BACK: Duration = Duration::from_millis(20);
/// How long after a delivery's time the rows are read, so that the database's clock has certainly reached it.
const PAST: Duration = Duration::from_millis(5);
/// The first and the longest wait after a query that failed. It grows because reads may work while writes fail, and
/// then each round posts the same deliveries again.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The longest wait between two probes of a receiver that was unreachable. A recovery goes unnoticed no longer than
/// this.
const PROBE: Duration = Duration::from_secs(4);
/// During a longer pause, signals are checked this often: a change of the webhook may end the pause.
const LOOK_INTO: Duration = Duration::from_secs(1);

/// The task of one webhook.
pub(super) struct Follower {
    means: Arc<Means>,
    tenant: TenantId,
    webhook: WebhookId,
    places: Arc<Semaphore>,
}

/// How long to wait after a round.
enum Rest {
    /// No wait: there may be more to do.
    None,
    /// Nothing is due before this time has passed, unless the webhook is changed or an attempt is requested.
    Pause(Duration),
    /// Nothing is due before this time has passed, unless a signal comes.
    UntilSignaled(Duration),
}

/// What is known about a receiver that fails to take deliveries.
#[derive(Default)]
struct Outage {
    /// The webhook's version when it was last read.
    version: i64,
    /// The URL to probe; `None` if the receiver is reachable, or if it answered a probe and then took nothing.
    unseen: Option<String>,
    /// Whether it answered a probe during this outage.
    tried: bool,
    /// Whether the next successful delivery ends the outage, so that all waiting deliveries go at once.
    release: bool,
}

impl Outage {
    fn looked(&mut self, held: &Held) {
        self.version = held.version;
        let down = held.failures > 0;
        (self.tried, self.release) = (self.tried && down, self.tried && down);
        self.unseen = (down && !self.tried).then(|| held.url.clone());
    }
}

/// The result of an attempt, as it matters to the deliveries behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Went {
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

/// A permit for one request: one of the tenant's permits, and one of the worker's.
struct Room<'a> {
    place: Arc<OwnedSemaphorePermit>,
    _sending: SemaphorePermit<'a>,
}

impl Follower {
    pub(super) fn new(means: Arc<Means>, tenant: TenantId, webhook: WebhookId) -> Self {
        let places = means.places(tenant);
        Self { means, tenant, webhook, places }
    }

    /// Runs until another worker has the webhook, it is gone or disabled, or `stop` is cancelled. After `stop` a round
    /// under way posts nothing new.
    pub(super) async fn follow(self, stop: CancellationToken) {
        // Subscribe before reading the rows, so that no event is missed in between.
        let mut signals = self.means.bus.subscribe(self.tenant);
        let (mut again, mut outage) = (AGAIN.0, Outage::default());
        while !stop.is_cancelled() {
            let rest = match self.round(&mut outage, &stop).await {
                Ok(None) => return,
                Ok(Some(rest)) => {
                    again = AGAIN.0;
                    rest
                }
                Err(error) => {
                    tracing::debug!(%error, webhook = %self.webhook, "a webhook waits for the database");
                    let rest = Rest::Pause(again);
                    again = (again * 2).min(AGAIN.1);
                    rest
                }
            };
            tokio::select! {
                () = self.rested(rest, &mut outage, &mut signals) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn rested(&self, rest: Rest, outage: &mut Outage, signals: &mut Subscription) {
        let version = outage.version;
        match rest {
            Rest::None => {}
            Rest::Pause(time) if time <= LOOK_INTO => tokio::time::sleep(time).await,
            Rest::Pause(time) => tokio::select! {
                _ = tokio::time::timeout(time, self.changed(version, signals)) => {}
                () = self.back(outage) => {}
            },
            Rest::UntilSignaled(time) => tokio::select! {
                _ = tokio::time::timeout(time, signals.signaled()) => {}
                () = self.back(outage) => {}
            },
        }
    }

    /// Waits until a receiver that was unreachable seems to be back, and then makes the oldest delivery due. Without
    /// this the recovery would go unnoticed until the next attempt. Never returns if the receiver was reachable, or
    /// seemed to be back before and then failed.
    async fn back(&self, outage: &mut Outage) {
        let Some(url) = outage.unseen.clone() else { return std::future::pending().await };
        loop {
            tokio::time::sleep(PROBE.mul_f64(0.75 + 0.25 * rand::random::<f64>())).await;
            // deliveries go first: without a free permit no probe is sent
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { continue };
            let Ok(_sending) = self.means.sending.try_acquire() else { continue };
            let there = self.means.sender.is_there(&url, Some(Arc::new(place))).await;
            if there && self.ask(ends::try_one(self.means.store.of(self.tenant), self.webhook)).await.is_ok() {
                (outage.unseen, outage.tried) = (None, true);
                return;
            }
        }
    }

    /// Waits until the webhook has another version.
    async fn changed(&self, version: i64, signals: &mut Subscription) {
        loop {
            signals.signaled().await;
            let now = self.ask(follow::version(self.means.store.of(self.tenant), self.webhook)).await;
            if matches!(now, Ok(now) if now != Some(version)) {
                return;
            }
            tokio::time::sleep(LOOK_INTO).await;
        }
    }

    /// Runs one query when there is a permit for it. A database that does not answer does not keep the permit.
    async fn ask<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let _rows = self.means.rows.acquire().await;
        answered(call).await
    }

    /// Reads the rows once and acts on them. Returns `None` if the webhook is gone, disabled or another worker's.
    async fn round(&self, outage: &mut Outage, stop: &CancellationToken) -> Result<Option<Rest>> {
        let Self { means, tenant, webhook, .. } = self;
        let held = self.ask(follow::held(means.store.of(*tenant), *webhook, means.worker, WAITING_MAX)).await?;
        let Some(held) = held else { return Ok(None) };
        outage.looked(&held);
        let mut rest = None;
        if held.waiting < WAITING_MAX {
            let step = trace::receive(Destination::Events).tenant(*tenant).webhook(*webhook);
            let page = self.ask(events::after(means.store.of(*tenant), held.cursor, None, PAGE)).await?;
            for event in &page.events {
                metrics::WEBHOOK_EVENT_LAG_SECONDS.observe(event.age_s);
            }
            rest = match (page.held_back, page.events.is_empty()) {
                (true, _) => Some(Rest::Pause(HELD_BACK)),
                (false, false) => Some(Rest::None),
                (false, true) => None,
            };
            let step = step.batch(page.events.len());
            step.follows_all(page.events.iter().filter_map(|event| event.trace.as_deref()));
            let ours = (*webhook, means.worker);
            let taken = page.events.is_empty()
                || self.ask(follow::take(means.store.of(*tenant), ours, &held, page.events, PASSED_MAX)).await?;
            if !taken {
                return Ok(Some(Rest::None));
            }
        }
        let limit = if held.failures >= retry::DOWN_AFTER { 1 } else { BATCH };
        let (due, next) = self.ask(follow::due(means.store.of(*tenant), *webhook, limit)).await?;
        if due.is_empty() {
            let next = next.map_or(SLOW_POLL, |next| (next + PAST).min(SLOW_POLL));
            return Ok(Some(rest.unwrap_or(Rest::UntilSignaled(next))));
        }
        let (ends, written) = self.post_all(&held, due, stop).await;
        if std::mem::take(&mut outage.release) && ends.contains(&Went::Well) {
            self.release().await?;
        }
        let rest = self.after(&held, &ends).await?;
        written.map(|()| Some(rest))
    }

    /// What the results of a round's attempts mean for the next round.
    async fn after(&self, held: &Held, ends: &[Went]) -> Result<Rest> {
        if ends.contains(&Went::Gone) {
            self.disable(DisabledReason::Gone, Duration::ZERO).await?;
            return Ok(Rest::None);
        }
        let answered = ends.iter().any(|went| matches!(went, Went::Well | Went::Refused));
        let failing_for = held.failing_since.map(|since| (clock::now() - since).to_std().unwrap_or_default());
        // a delivery that failed just once shows only a short fault, however long ago the last success was
        let refused = ends.contains(&Went::Refused) && !ends.contains(&Went::Well);
        if (refused || !answered && ends.contains(&Went::Badly)) && failing_for >= Some(retry::DISABLED_AFTER) {
            self.disable(DisabledReason::Failing, retry::DISABLED_AFTER).await?;
        }
        let failures = held.failures.saturating_add(i32::try_from(ends.len()).unwrap_or(i32::MAX));
        let pause = if answered { Duration::ZERO } else { retry::pause(failures) };
        let asked = ends.iter().filter_map(|went| if let Went::Later(wait) = went { Some(*wait + PAST) } else { None });
        let pause = asked.fold(pause, Duration::max);
        Ok(if pause.is_zero() { Rest::None } else { Rest::Pause(pause) })
    }

    /// Makes the deliveries that waited for the receiver's return due at once.
    async fn release(&self) -> Result<()> {
        self.ask(ends::try_at_once(self.means.store.of(self.tenant), self.webhook)).await
    }

    async fn disable(&self, why: DisabledReason, failing_for: Duration) -> Result<()> {
        let reason = why.as_str();
        let disabled = ends::disable(self.means.store.of(self.tenant), self.webhook, reason, failing_for);
        if self.ask(disabled).await? {
            tracing::info!(webhook = %self.webhook, reason, "a webhook was disabled");
            metrics::WEBHOOKS_DISABLED.of(why).inc();
            self.means.bus.signal(self.tenant);
        }
        Ok(())
    }

    /// Posts the deliveries that are due: the lanes in parallel, each lane in order. Returns the results, and whether
    /// all of them were written.
    async fn post_all(&self, held: &Held, due: Vec<Due>, stop: &CancellationToken) -> (Vec<Went>, Result<()>) {
        let mut lanes: BTreeMap<_, Vec<Due>> = BTreeMap::new();
        for due in due {
            lanes.entry(due.lane).or_default().push(due);
        }
        let round = stop.child_token();
        let lanes = lanes.into_values().map(|lane| self.post_lane(held, lane, &round));
        let ends: Vec<_> = futures::stream::iter(lanes).buffer_unordered(LANES).collect().await;
        let (ends, written): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        (ends.concat(), written.into_iter().collect())
    }

    /// Posts one lane in order, until `round` is cancelled. Cancels it if the other lanes have to stop as well.
    async fn post_lane(&self, held: &Held, lane: Vec<Due>, round: &CancellationToken) -> (Vec<Went>, Result<()>) {
        let (mut ends, mut posting) = (Vec::new(), Duration::ZERO);
        for due in lane {
            let Some(Some(room)) = round.run_until_cancelled(self.room()).await else { break };
            let start = Instant::now();
            let (went, version) = match self.post(held, due, room).await {
                Ok(end) => end,
                Err(error) => return (ends, Err(error)),
            };
            ends.push(went);
            posting += start.elapsed();
            // another URL, secret or state: the next round reads it
            if version != Some(held.version) || matches!(went, Went::Later(_) | Went::Gone) {
                round.cancel();
            }
            if went == Went::BadlyAndHolds || posting > LANE_MAX {
                break;
            }
        }
        (ends, Ok(()))
    }

    /// Waits for the permits of one request. Returns `None` if the semaphores are closed.
    async fn room(&self) -> Option<Room<'_>> {
        let place = Arc::new(Arc::clone(&self.places).acquire_owned().await.ok()?);
        Some(Room { place, _sending: self.means.sending.acquire().await.ok()? })
    }

    /// Makes one attempt and writes its result. Also returns the webhook's version at that time; `None` if another
    /// worker was first.
    async fn post(&self, held: &Held, due: Due, room: Room<'_>) -> Result<(Went, Option<i64>)> {
        let Self { means, tenant, webhook, .. } = self;
        let (id, body) = (due.id.to_string(), due.happened.to_json());
        let step = trace::process(Destination::Events, due.trace.as_deref())
            .tenant(*tenant)
            .webhook(*webhook)
            .message(&due.id)
            .kind(&due.happened.kind)
            .attempt(due.attempts.saturating_add(1));
        let timestamp = clock::now().timestamp();
        let secrets = [Some(held.secret.as_str()), held.previous_secret.as_deref()];
        let signature = signature::header(secrets.into_iter().flatten(), &id, timestamp, &body);
        let place = Some(Arc::clone(&room.place));
        let post = Post { url: &held.url, id: &id, timestamp, signature: &signature, body, place };
        let posting = step.post();
        let answer = means.sender.post(post).await;
        match &answer {
            Ok(status) => posting.answered(*status, false),
            Err(failure) => match failure.status() {
                Some(status) => posting.answered(status, false),
                None => posting.fails(&failure.word()),
            },
        }
        drop(posting);
        drop(room);
        let failure = match answer {
            Ok(status) => {
                let ended = self.ask(ends::delivered(means.store.of(*tenant), due.id, status)).await?;
                metrics::WEBHOOK_ATTEMPTS.of(AttemptOutcome::Delivered).inc();
                if let Some((seconds, _)) = ended {
                    metrics::WEBHOOK_DELIVERY_SECONDS.observe_with_trace(seconds);
                }
                return Ok((Went::Well, ended.and_then(|(_, version)| version)));
            }
            Err(failure) => failure,
        };
        let (status, word) = (failure.status(), failure.word());
        step.fails(&word);
        let fault = retry::fault(status, failure.retry_after());
        let verdict = retry::verdict(fault, due.attempts, due.age, rand::random());
        let failed = (due.id, due.attempts);
        let counts = fault != Fault::Event;
        let version = self.ask(ends::failed(means.store.of(*tenant), failed, (status, word), verdict, counts)).await?;
        let outcome = if verdict.again_in.is_some() { AttemptOutcome::Retry } else { AttemptOutcome::Failed };
        metrics::WEBHOOK_ATTEMPTS.of(outcome).inc();
        let outcome = outcome.as_str();
        tracing::debug!(%webhook, delivery = %due.id, attempts = verdict.attempts, status, word, outcome, "an attempt failed");
        let went = match fault {
            Fault::Gone => Went::Gone,
            Fault::Event => Went::Refused,
            Fault::Rate(wait) if verdict.again_in.is_some() => Went::Later(wait),
            Fault::Receiver if verdict.holds => Went::BadlyAndHolds,
            Fault::Receiver | Fault::Rate(_) => Went::Badly,
        };
        Ok((went, version))
    }
}
