//! Follows one webhook. While the receiver takes everything, the events behind the cursor are posted as they are read
//! (`page.rs`). Otherwise they become deliveries, and those that are due are posted. The state is in rows, so the follower
//! may be killed at any moment: the next owner posts again whatever was not written as delivered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bells::bus::Subscription;
use domain::webhook::retry;
use futures::StreamExt as _;
use process::clock;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::DisabledReason;
use store::Result;
use store::webhooks::ends;
use store::webhooks::follow::{self, Due, Held};
use store::webhooks::settle::End;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, Went};
use super::page::{Posted, Read, Then};
use super::webhook::{Follower, LANES, Room};

/// While this many deliveries that hold others up are waiting, no further events are read.
const WAITING_MAX: i64 = 1_000;
/// The most deliveries of one round.
const BATCH: i64 = 64;
/// A lane whose requests have taken this long leaves the rest to the next round.
const LANE_MAX: Duration = Duration::from_secs(20);
/// How often the rows are read while no signal comes.
const SLOW_POLL: Duration = Duration::from_secs(30);
/// How long the row of a webhook is believed without being read anew.
const HELD_MAX: Duration = Duration::from_mins(1);
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

/// What a follower knows of its webhook between two rounds.
#[derive(Default)]
struct Known {
    /// The row, and when it was read; `None` if it must be read anew.
    held: Option<(Held, Instant)>,
    read: Read,
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

impl Follower {
    /// Runs until another worker has the webhook, it is gone or disabled, or `stop` is cancelled. After `stop` a round
    /// under way posts nothing new.
    pub(super) async fn follow(self, stop: CancellationToken) {
        // Subscribe before reading the rows, so that no event is missed in between.
        let mut signals = self.means.bus.subscribe(self.tenant);
        let (mut again, mut outage, mut known) = (AGAIN.0, Outage::default(), Known::default());
        while !stop.is_cancelled() {
            let rest = match self.round(&mut known, &mut outage, &stop).await {
                Ok(None) => return,
                Ok(Some(rest)) => {
                    again = AGAIN.0;
                    rest
                }
                Err(error) => {
                    tracing::debug!(%error, webhook = %self.webhook, "a webhook waits for the database");
                    known.held = None;
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
        if let Some((mut held, _)) = known.held {
            let _ = self.passed_over(&mut held, &mut known.read).await; // the next owner passes over them again
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

    /// Reads once and acts on it. Returns `None` if the webhook is gone, disabled or another worker's.
    async fn round(&self, known: &mut Known, outage: &mut Outage, stop: &CancellationToken) -> Result<Option<Rest>> {
        let (mut held, read_at) = match known.held.take() {
            Some((held, at)) if at.elapsed() < HELD_MAX => (held, at),
            _ => {
                let held = follow::held(self.means.store.of(self.tenant), self.webhook, self.means.worker, WAITING_MAX);
                let Some(mut held) = self.ask(held).await? else { return Ok(None) };
                outage.looked(&held);
                if !self.passed_over(&mut held, &mut known.read).await? {
                    return Ok(Some(Rest::None));
                }
                (held, Instant::now())
            }
        };
        let due_in = held.due_in.map(|due_in| due_in.saturating_sub(read_at.elapsed()));
        if held.waiting > 0 || held.failing_since.is_some() || due_in == Some(Duration::ZERO) {
            return self.long_round(&held, &mut known.read, outage, stop).await;
        }
        // the row may lag behind what was read: it is not written for events that the webhook does not carry
        let after = known.read.to.map_or(held.cursor, |to| to.max(held.cursor));
        let Some(look) = self.look(after).await? else { return Ok(None) };
        if look.mark != held.mark() {
            return Ok(Some(Rest::None));
        }
        let then = match (look.events.is_empty(), look.held_back) {
            (true, true) => Then::HeldBack,
            (true, false) => Then::Signal,
            (false, _) => {
                let due_at = due_in.map(|due_in| Instant::now() + due_in);
                self.pages((&mut held, due_at), &mut known.read, look, stop).await?
            }
        };
        let next = due_in.map_or(SLOW_POLL, |due_in| (due_in + PAST).min(SLOW_POLL));
        let rest = match then {
            Then::Anew(went) => return self.after(&held, &went).await.map(Some),
            Then::More => Rest::None,
            Then::HeldBack => Rest::Pause(HELD_BACK),
            Then::Signal => Rest::UntilSignaled(next),
        };
        known.held = Some((held, read_at));
        Ok(Some(rest))
    }

    /// Writes how far the follower has read, if the row lags behind. This comes before the webhook is used anew: its kinds
    /// may have changed, and what it did not carry then is past. Returns whether the webhook is still the one that was
    /// read.
    async fn passed_over(&self, held: &mut Held, read: &mut Read) -> Result<bool> {
        let Some(to) = std::mem::take(read).to.filter(|to| *to > held.cursor) else { return Ok(true) };
        let is_same = self.pass(held, to).await?;
        held.cursor = to;
        Ok(is_same)
    }

    /// The long way: events become waiting deliveries, and those that are due are posted.
    async fn long_round(
        &self,
        held: &Held,
        read: &mut Read,
        outage: &mut Outage,
        stop: &CancellationToken,
    ) -> Result<Option<Rest>> {
        let mut rest = None;
        if held.waiting < WAITING_MAX {
            let after = read.to.take().map_or(held.cursor, |to| to.max(held.cursor));
            let Some(look) = self.look(after).await? else { return Ok(None) };
            rest = match (look.held_back, look.events.is_empty()) {
                (true, _) => Some(Rest::Pause(HELD_BACK)),
                (false, false) => Some(Rest::None),
                (false, true) => None,
            };
            let nothing = Posted::nothing(&look.events);
            if !self.settle(held, look.events, nothing).await? {
                return Ok(Some(Rest::None));
            }
        }
        let limit = if held.failures >= retry::DOWN_AFTER { 1 } else { BATCH };
        let due = follow::due(self.means.store.of(self.tenant), self.webhook, limit);
        let (due, next) = self.ask(due).await?;
        if due.is_empty() {
            let next = next.map_or(SLOW_POLL, |next| (next + PAST).min(SLOW_POLL));
            return Ok(Some(rest.unwrap_or(Rest::UntilSignaled(next))));
        }
        let (ends, written) = self.post_all(held, due, stop).await;
        if std::mem::take(&mut outage.release) && ends.contains(&Went::Well) {
            self.release().await?;
        }
        let rest = self.after(held, &ends).await?;
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

    /// Makes one attempt and writes its result. Also returns the webhook's version at that time; `None` if another
    /// worker was first.
    async fn post(&self, held: &Held, due: Due, room: Room<'_>) -> Result<(Went, Option<i64>)> {
        let Due { id: delivery, attempts, age, happened, trace, .. } = due;
        let (body, trace) = (happened.to_json(), trace.as_deref());
        let attempt = Attempt { delivery, attempts, age, since: None, kind: &happened.kind, trace, body };
        let (went, end) = self.attempt(held, attempt, room).await;
        let of = self.means.store.of(self.tenant);
        let version = match end {
            End::Delivered(status) => {
                let ended = self.ask(ends::delivered(of, delivery, status)).await?;
                if let Some((seconds, _)) = ended {
                    metrics::WEBHOOK_DELIVERY_SECONDS.observe_with_trace(seconds);
                }
                ended.and_then(|(_, version)| version)
            }
            End::Failed { status, word, verdict, counts } => {
                self.ask(ends::failed(of, (delivery, attempts), (status, word), verdict, counts)).await?
            }
        };
        Ok((went, version))
    }
}
