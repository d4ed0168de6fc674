//! The short way: events of a healthy webhook are posted as they were read, and their deliveries are written with their
//! ends, together with those of other webhooks. What was posted and not written is posted again after a crash, with the
//! same `webhook-id`. What is not delivered at once becomes a waiting delivery, which goes the long way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use process::telemetry::metrics;
use process::telemetry::trace::{self, Destination};
use store::events::Cursor;
use store::webhooks::follow::{self, Held};
use store::webhooks::look::{self, Look, News};
use store::webhooks::settle::{self, End, Settled, Standing};
use store::{Result, answered};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, Went};
use super::webhook::{Follower, LANES, PAGE, PASSED_MAX};

/// How long the posts of one page go on. What was not posted by then becomes waiting deliveries.
const PAGE_MAX: Duration = Duration::from_secs(10);
/// A receiver that takes this long for one request is slow: the rest of the page becomes waiting deliveries, whose
/// results are written one by one. So a crash repeats few of its requests.
const SLOW: Duration = Duration::from_secs(1);
/// How long it may be known that the webhook has not changed, before the next post.
const KNOWN_MAX: Duration = Duration::from_millis(250);
/// How long a stop waits for requests under way. What has no answer by then is posted again.
const LAST: Duration = Duration::from_secs(1);
/// How many events that the webhook does not carry are passed over before its cursor is written.
const UNWRITTEN_MAX: usize = 1_000;

/// How far a follower has read.
#[derive(Default)]
pub(super) struct Read {
    /// The position of the last event; `None`: that of the row.
    pub(super) to: Option<Cursor>,
    /// How many events behind the row's position the webhook does not carry.
    unwritten: usize,
}

/// What follows when pages were posted.
pub(super) enum Then {
    /// The webhook must be read anew, after these results.
    Anew(Vec<Went>),
    /// There may be more events.
    More,
    /// More events are written, but held back.
    HeldBack,
    /// Everything was read.
    Signal,
}

/// What became of a page.
pub(super) struct Posted {
    /// The end of each event that was posted.
    ends: Vec<Option<End>>,
    pub(super) went: Vec<Went>,
    standing: Standing,
}

impl Posted {
    /// Nothing was posted.
    pub(super) fn nothing(page: &[News]) -> Self {
        Self { ends: vec![None; page.len()], went: Vec::new(), standing: Standing::default() }
    }

    fn note(&mut self, place: usize, went: Went, end: End) {
        let standing = &mut self.standing;
        match end {
            End::Delivered(_) => *standing = Standing { well: true, ..Standing::default() },
            End::Failed { counts: true, .. } => standing.failures += 1,
            End::Failed { counts: false, .. } => standing.refusals += 1,
        }
        self.went.push(went);
        if let Some(own) = self.ends.get_mut(place) {
            *own = Some(end);
        }
    }
}

impl Follower {
    /// Reads the next events. Returns `None` if the webhook is gone, disabled or another worker's.
    pub(super) async fn look(&self, after: Cursor) -> Result<Option<Look>> {
        let step = trace::receive(Destination::Events).tenant(self.tenant).webhook(self.webhook);
        let look = answered(look::look(self.means.store.owning(self.owner()), after, PAGE)).await?;
        let step = step.batch(look.as_ref().map_or(0, |look| look.events.len()));
        step.follows_all(look.iter().flat_map(|look| &look.events).filter_map(|event| event.trace.as_deref()));
        for event in look.iter().flat_map(|look| &look.events) {
            metrics::WEBHOOK_EVENT_LAG_SECONDS.observe(event.age_s);
        }
        Ok(look)
    }

    /// Writes what became of a page, and moves the cursor. Returns whether the webhook is still the one that was read.
    pub(super) async fn settle(&self, held: &Held, page: Vec<News>, posted: Posted) -> Result<bool> {
        let Some(to) = page.last().map(|event| event.cursor) else { return Ok(true) };
        let events = page.into_iter().zip(posted.ends).filter(|(event, _)| event.data.is_some()).collect();
        self.move_to(held, to, events, posted.standing).await
    }

    /// Writes that the events up to `to` were read, and that the webhook carries none of them.
    pub(super) async fn pass(&self, held: &Held, to: Cursor) -> Result<bool> {
        self.move_to(held, to, Vec::new(), Standing::default()).await
    }

    async fn move_to(
        &self,
        held: &Held,
        to: Cursor,
        events: Vec<(News, Option<End>)>,
        standing: Standing,
    ) -> Result<bool> {
        let settled = Settled { from: held.cursor, to, events, standing, passed_max: PASSED_MAX };
        let (owning, settled) = (self.means.store.owning(self.owner()), Arc::new(settled));
        let mut version = answered(settle::settle(owning, Arc::clone(&settled))).await?;
        if version.is_none() {
            version = self.ask(settle::settle_alone(owning, settled)).await?;
        }
        Ok(version == Some(held.version))
    }

    /// Posts and settles page after page, beginning with this one, while all goes well. A full page is written, and the
    /// next one is read, while the other is posted. It ends when a waiting delivery is due.
    pub(super) async fn pages(
        &self,
        (held, due_at): (&mut Held, Option<Instant>),
        read: &mut Read,
        mut look: Look,
        stop: &CancellationToken,
    ) -> Result<Then> {
        let mut unsettled: Option<(Vec<News>, Posted)> = None;
        loop {
            let page = std::mem::take(&mut look.events);
            let last = page.last().map(|event| event.cursor);
            let is_full = i64::try_from(page.len()).is_ok_and(|len| len >= PAGE);
            let next = async {
                match last.filter(|_| is_full) {
                    Some(last) => self.look(last).await.map(Some),
                    None => Ok(None),
                }
            };
            let before = self.settled(held, unsettled.take());
            let (posted, next, before) = tokio::join!(self.post_page(held, &page, stop), next, before);
            let (is_same, to) = before?;
            if let Some(to) = to {
                (held.cursor, read.to, read.unwritten) = (to, None, 0);
            }
            let is_well = posted.went.iter().all(|went| *went == Went::Well)
                && page.iter().zip(&posted.ends).all(|(event, end)| end.is_some() || event.data.is_none());
            let went = posted.went.clone();
            let then = match next {
                _ if !is_same || !is_well => Then::Anew(went.clone()),
                Ok(Some(Some(next))) if next.mark != held.mark() => Then::Anew(went.clone()),
                Ok(Some(Some(_))) if due_at.is_some_and(|at| at <= Instant::now()) => Then::More,
                Ok(Some(Some(next))) if !next.events.is_empty() => {
                    (unsettled, look) = (Some((page, posted)), next);
                    continue;
                }
                Ok(Some(Some(Look { held_back, .. }))) => {
                    if held_back {
                        Then::HeldBack
                    } else {
                        Then::Signal
                    }
                }
                Ok(Some(None)) | Err(_) => Then::More,
                Ok(None) => {
                    if look.held_back {
                        Then::HeldBack
                    } else {
                        Then::Signal
                    }
                }
            };
            read.unwritten += page.len();
            if page.iter().all(|event| event.data.is_none()) && read.unwritten < UNWRITTEN_MAX {
                read.to = last.or(read.to); // the row is written later
                return Ok(then);
            }
            let (is_same, to) = self.settled(held, Some((page, posted))).await?;
            (held.cursor, read.to, read.unwritten) = (to.unwrap_or(held.cursor), None, 0);
            return Ok(if is_same { then } else { Then::Anew(went) });
        }
    }

    /// Settles a page, if there is one. Returns whether the webhook is still the same, and the new position.
    async fn settled(&self, held: &Held, page: Option<(Vec<News>, Posted)>) -> Result<(bool, Option<Cursor>)> {
        let Some((page, posted)) = page else { return Ok((true, None)) };
        let to = page.last().map(|event| event.cursor);
        Ok((self.settle(held, page, posted).await?, to))
    }

    /// Posts the events of a page that the webhook carries: the accounts side by side, the events of one in order. The
    /// first failure ends it, and so do a slow answer, a change of the webhook, and `stop`.
    async fn post_page(&self, held: &Held, page: &[News], stop: &CancellationToken) -> Posted {
        let mut lanes: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (place, event) in page.iter().enumerate().filter(|(_, event)| event.data.is_some()) {
            lanes.entry(event.account).or_default().push(place);
        }
        let (begun, round) = (Instant::now(), stop.child_token());
        let known = tokio::sync::Mutex::new(begun);
        let posted = Mutex::new(Posted::nothing(page));
        let lanes = lanes.into_values().map(|lane| async {
            for place in lane {
                let Some(Some(room)) = round.run_until_cancelled(self.room()).await else { return };
                if begun.elapsed() > PAGE_MAX || !self.is_unchanged(held, &known).await {
                    return round.cancel();
                }
                let Some(event) = page.get(place) else { return };
                let attempt = Attempt {
                    delivery: event.delivery(self.webhook),
                    attempts: 0,
                    age: Duration::ZERO,
                    since: Some(Duration::from_secs_f64(event.age_s) + begun.elapsed()),
                    kind: &event.kind,
                    trace: event.trace.as_deref(),
                    body: event.to_json(),
                };
                let sent = Instant::now();
                let (went, end) = tokio::select! {
                    done = self.attempt(held, attempt, room) => done,
                    () = async { stop.cancelled().await; tokio::time::sleep(LAST).await } => return,
                };
                posted.lock().unwrap_or_else(PoisonError::into_inner).note(place, went, end);
                if !matches!(went, Went::Well | Went::Refused) || sent.elapsed() > SLOW {
                    round.cancel();
                }
            }
        });
        futures::stream::iter(lanes).buffer_unordered(LANES).collect::<()>().await;
        posted.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the webhook is still the one that was read. The row is asked at most every [`KNOWN_MAX`].
    async fn is_unchanged(&self, held: &Held, known: &tokio::sync::Mutex<Instant>) -> bool {
        let mut known = known.lock().await;
        if known.elapsed() < KNOWN_MAX {
            return true;
        }
        let now = self.ask(follow::version(self.means.store.of(self.tenant), self.webhook)).await;
        *known = Instant::now();
        matches!(now, Ok(now) if now == Some(held.version))
    }
}
