//! The live stream of a tenant's events (server-sent events). A signal only wakes it. The events are read from the
//! database, so that none is missed, however often the connection breaks.

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

/// How many events are read at once.
const PAGE: i64 = 100;
/// The highest number of streams of one tenant at this replica.
const STREAMS_PER_TENANT: usize = 64;
/// How often the database is queried without a signal.
const SLOW_POLL: Duration = Duration::from_secs(10);
/// How often a stream checks that its key is still valid, however busy it is. Together with the cache
/// ([`crate::key_cache::KeyCache`]), a stream with a revoked key ends within five seconds.
const KEY_CHECK: Duration = Duration::from_secs(2);
/// The wait before the next query if a running transaction holds back newer events.
const HELD_BACK: Duration = Duration::from_millis(20);
/// How often a comment is sent while there are no events, so that proxies don't close the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The header with the last event that a client saw.
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Which events to follow.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only those of this account.
    account_id: Option<AccountId>,
    /// The same as the header `Last-Event-ID`, for clients that can't set headers. The header takes precedence.
    #[param(max_length = 64)]
    last_event_id: Option<String>,
}

/// Follow events
///
/// A stream of server-sent events. It begins now, or after the event that `Last-Event-ID` names. Browsers send that
/// header by themselves when they reconnect, so nothing is missed.
///
/// The first event, `stream.opened`, contains only the position at which the stream begins. A last event,
/// `stream.closed`, says in `{"reason": …}` that the key was revoked. Some events, such as `session.qr`, only say that
/// there is something new: fetch it from its own route.
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
    if context.bus.listeners(caller.tenant()) >= STREAMS_PER_TENANT {
        return Err(Problem::TooMany("This tenant has too many open streams"));
    }
    // subscribe before the first query, so that no event is missed in between
    let signals = context.bus.subscribe(caller.tenant());
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

/// The position from which a client resumes, if all events after it are stored.
async fn resume(caller: &Caller, field: &str, cursor: Cursor) -> Result<Cursor> {
    match events::place(caller.of(), cursor).await? {
        Place::Kept => Ok(cursor),
        Place::Gone(oldest) => Err(Problem::Gone { oldest: oldest.to_string() }),
        Place::Ahead => Err(Problem::field(field, "lies in the future: no event has this id yet")),
    }
}

/// The position of one client in the events.
struct Follower {
    context: Context,
    caller: Caller,
    account: Option<AccountId>,
    cursor: Cursor,
    signals: Subscription,
    pause: Pause,
    /// Whether it has read all existing events. From then on the lag of new events is measured.
    live: bool,
    key_checked: Instant,
    /// Whether the last event was sent.
    is_over: bool,
    _open: OneMore,
    _room: OwnedSemaphorePermit,
}

/// What to wait for before the next query.
enum Pause {
    /// Nothing: there may be another page.
    None,
    /// A short time: newer events are held back.
    Short,
    /// A signal: everything was read.
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

    /// Waits for the next events. If the key was revoked, a last event says so. If the database fails, the stream ends
    /// without one, and the client reconnects.
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
            let step = trace::receive(Destination::Events).tenant(caller.tenant());
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

    /// Whether the key was revoked. It is checked only if enough time has passed.
    async fn is_revoked(&mut self) -> bool {
        if self.key_checked.elapsed() < KEY_CHECK {
            return false;
        }
        self.key_checked = Instant::now();
        // a database that is away for a moment is no reason to end the stream
        matches!(self.context.keys.identify(&self.caller.digest).await, Ok(None))
    }

    /// Waits until the next query is due. Breaks if the key was revoked meanwhile.
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
