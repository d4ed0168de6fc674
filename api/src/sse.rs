//! The live stream of a tenant's events (server-sent events). A signal wakes it; the rows say what happened, so nothing
//! is missed however often the connection breaks.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use bells::bus::Subscription;
use domain::event::schema::AnyEvent;
use domain::id::AccountId;
use futures::{Stream, StreamExt as _, stream};
use process::telemetry::metrics::{self, OneMore};
use process::telemetry::trace::{self, Destination};
use serde::Deserialize;
use store::events::{self, Cursor, Happened, Place};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use utoipa::IntoParams;

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::Query;
use crate::problem::{Problem, Result};

/// Events read at one time.
const PAGE: i64 = 100;
/// Streams of one tenant at one replica.
const STREAMS_PER_TENANT: usize = 64;
/// Rows are looked at this often when no signal comes.
const SLOW_POLL: Duration = Duration::from_secs(10);
/// How often a stream asks whether its key still opens this door, however busy it is; with the time for which an answer is kept
/// ([`crate::key_cache::KeyCache`]) a revoked key is out within five seconds.
const KEY_CHECK: Duration = Duration::from_secs(2);
/// Rows are looked at again after this when a running transaction holds newer ones back.
const HELD_BACK: Duration = Duration::from_millis(20);
/// A comment is sent this often when nothing happens, so that nobody in between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Names the last event that a client saw.
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only those of this account.
    account_id: Option<AccountId>,
    /// As the header `Last-Event-ID`, for clients that can't set headers; the header goes first.
    #[param(max_length = 64)]
    last_event_id: Option<String>,
}

/// Follow what happens
///
/// A stream of server-sent events that begins now, or behind the event named by `Last-Event-ID`: browsers send that by
/// themselves when they reconnect, so nothing is missed. The first event, `stream.opened`, only carries the place at
/// which the stream begins; a last one, `stream.closed`, says in `{"reason": …}` that the key was revoked. Some events
/// only say that there is something new, such as `session.qr`: fetch it from its own route.
#[utoipa::path(get, path = "/v1/events", operation_id = "follow_events", tag = "Events",
    params(Filter, ("Last-Event-ID" = Option<String>, Header, max_length = 64, description = "The `id` of the last event seen")),
    responses((status = 200, content_type = "text/event-stream", body = AnyEvent, description = "Each event's `data` is this object"),
        (status = 410, description = "Events after the given one are not kept any more; go on from `oldest`, and read anew what you missed"),
        (status = 429, description = "Too many streams are open")))]
pub async fn get(
    State(context): State<Context>,
    caller: Caller,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
) -> Result<Response> {
    let asked = match headers.get(&LAST_EVENT_ID) {
        Some(value) => Some(("Last-Event-ID", value.to_str().unwrap_or_default())),
        None => filter.last_event_id.as_deref().map(|id| ("last_event_id", id)),
    };
    let asked = match asked {
        Some((field, id)) => Some((field, id.parse::<Cursor>().map_err(|error| Problem::field(field, error))?)),
        None => None,
    };
    let room = context.streams.clone().try_acquire_owned();
    let room = room.map_err(|_| Problem::TooMany("This replica has no room for another stream"))?;
    if context.bus.listeners(caller.tenant) >= STREAMS_PER_TENANT {
        return Err(Problem::TooMany("This tenant has too many open streams"));
    }
    // Listen before looking, so that nothing falls between.
    let signals = context.bus.subscribe(caller.tenant);
    let begin = match asked {
        Some((field, cursor)) => resume(&caller, field, cursor).await?,
        None => events::end(caller.of()).await?,
    };
    let opened = Event::default().id(begin.to_string()).event("stream.opened").data("{}");
    let stop = context.stop.clone();
    let follower = Follower {
        context,
        caller,
        account: filter.account_id,
        cursor: begin,
        signals,
        pause: Pause::None,
        live: false,
        key_checked: Instant::now(),
        is_over: false,
        _open: OneMore::of(&metrics::EVENT_STREAMS),
        _room: room,
    };
    let events = stream::once(async { Ok(opened) }).chain(follower.events()).take_until(stop.cancelled_owned());
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// A position that the client remembers, if nothing after it is lost.
async fn resume(caller: &Caller, field: &str, cursor: Cursor) -> Result<Cursor> {
    match events::place(caller.of(), cursor).await? {
        Place::Kept => Ok(cursor),
        Place::Gone(oldest) => Err(Problem::Gone { oldest: oldest.to_string() }),
        Place::Ahead => Err(Problem::field(field, "lies in the future: no event has this id yet")),
    }
}

/// One client's place in the events.
struct Follower {
    context: Context,
    caller: Caller,
    account: Option<AccountId>,
    cursor: Cursor,
    signals: Subscription,
    pause: Pause,
    /// It has seen all there was: what comes now has just happened, and is not caught up on.
    live: bool,
    key_checked: Instant,
    /// Its last word was said.
    is_over: bool,
    _open: OneMore,
    _room: OwnedSemaphorePermit,
}

/// What to do before looking at the rows again.
enum Pause {
    /// Look at once: there may be another page.
    None,
    /// Newer events are held back.
    Short,
    /// Everything was read.
    UntilSignaled,
}

impl Follower {
    fn events(self) -> impl Stream<Item = std::result::Result<Event, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let page = follower.next_page().await?;
            Some((stream::iter(page), follower))
        })
        .flatten()
    }

    /// Waits for the next events. Ends with a word when the key was revoked, and without one when the database is away: the
    /// client then comes again.
    async fn next_page(&mut self) -> Option<Vec<std::result::Result<Event, Infallible>>> {
        if self.is_over {
            return None;
        }
        loop {
            if self.is_revoked().await || self.wait().await.is_break() {
                self.is_over = true;
                let data = serde_json::json!({"reason": "the key was revoked"});
                return Some(vec![Ok(Event::default().event("stream.closed").data(data.to_string()))]);
            }
            let Self { caller, cursor, account, .. } = self;
            let step = trace::receive(Destination::Events).tenant(caller.tenant);
            let page = events::after(caller.of(), *cursor, *account, PAGE).await;
            step.heard(&page);
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "a live stream ends: events could not be read");
                    return None;
                }
            };
            self.pause = match (page.held_back, page.events.last()) {
                (true, _) => Pause::Short,
                (false, Some(_)) => Pause::None,
                (false, None) => Pause::UntilSignaled,
            };
            if let Some(last) = page.events.last() {
                let step = step.batch(page.events.len());
                step.follows_all(page.events.iter().filter_map(|event| event.trace.as_deref()));
                self.cursor = last.cursor;
                if self.live {
                    page.events.iter().for_each(|event| metrics::EVENT_STREAM_LAG_SECONDS.observe(event.age_s));
                }
                return Some(page.events.into_iter().map(|event| Ok(show(event))).collect());
            }
        }
    }

    /// Whether the key was revoked, asked when it is time to.
    async fn is_revoked(&mut self) -> bool {
        if self.key_checked.elapsed() < KEY_CHECK {
            return false;
        }
        self.key_checked = Instant::now();
        // a database that is away for a moment is no reason to cut a stream off
        matches!(self.context.keys.identify(&self.caller.digest).await, Ok(None))
    }

    /// Waits until the rows are to be looked at; breaks off when the key was revoked meanwhile.
    async fn wait(&mut self) -> ControlFlow<()> {
        match self.pause {
            Pause::None => {}
            Pause::Short => tokio::time::sleep(HELD_BACK).await,
            Pause::UntilSignaled => {
                self.live = true;
                let look = Instant::now() + SLOW_POLL;
                while Instant::now() < look {
                    let until = look.min(self.key_checked + KEY_CHECK);
                    if tokio::time::timeout_at(until, self.signals.signaled()).await.is_ok() {
                        break;
                    }
                    if self.is_revoked().await {
                        return ControlFlow::Break(());
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn show(event: events::Recorded) -> Event {
    let happened = Happened::from(event);
    let data = happened.to_json();
    Event::default().id(happened.id).event(happened.kind).data(data)
}
