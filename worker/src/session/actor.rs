//! The actor of one session: feeds the machine with events and carries out its actions. Only the actor touches the
//! connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use process::clock::BootTime;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::{Loss, SessionState};
use store::session::{self, SessionRow};
use store::{Error, Fence, answered};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Opened};
use super::figures::{Figures, Gap};
use super::machine::decide;
use super::machine::event::{Event, Facts, Passkey, Who};
use super::machine::state::{End, State};
use super::mail::{Mail, Writing};
use super::pause::Pause;
use crate::context::Context;
use crate::fleet::trust::{Right, while_trusted};
use crate::link::{CloseReason, Delivery, LinkError, LinkEvent};

/// How many events are gathered before they are written.
const GATHER: usize = 256;
/// How often the oldest unacknowledged message is checked.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Instructions to a session from outside. Cheap to clone. None is lost, because each is a flag and not a queued item.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// The account's row may have changed.
    pub look: Arc<Notify>,
    /// There may be messages to send.
    pub mail: Arc<Notify>,
    /// Give the account back in order.
    pub release: CancellationToken,
    /// The right to act, until it is lost.
    pub right: Right,
    /// Set by the session: its connection is online.
    pub online: Arc<AtomicBool>,
}

/// The result of an action that runs beside the actor.
pub(super) enum Reported {
    /// The result of opening a connection.
    Opened(Opened),
    /// An event for the machine.
    Event(Event),
    /// WhatsApp's answer to the request for a pairing code.
    PairingCode(Result<String, LinkError>),
    /// Whether WhatsApp accepted the passkey answer of the phone's owner.
    Passkey(Result<(), LinkError>),
    /// The groups, as read over the connection with this number.
    Groups(i64, Result<Vec<crate::link::Group>, LinkError>),
}

/// One session.
pub struct Actor {
    pub(super) context: Arc<Context>,
    pub(super) fence: Fence,
    pub(super) row: Option<SessionRow>,
    pub(super) state: State,
    pub(super) queue: VecDeque<Event>,
    pub(super) connection: Connection,
    pub(super) orders: Orders,
    released: bool,
    lost: bool,
    pub(super) pending: FuturesUnordered<BoxFuture<'static, Reported>>,
    pub(super) mail: Mail,
    /// The write under way of what the connection brought.
    writing: Option<Writing>,
    pub(super) figures: Figures,
}

impl Actor {
    /// Creates a session under a claim that was just confirmed.
    #[must_use]
    pub fn new(context: Arc<Context>, fence: Fence, orders: Orders) -> Self {
        let mail = Mail::new(Arc::clone(&orders.mail));
        Self {
            context,
            fence,
            row: None,
            state: State::Fresh,
            queue: VecDeque::new(),
            connection: Connection::new(),
            orders,
            released: false,
            lost: false,
            pending: FuturesUnordered::new(),
            mail,
            writing: None,
            figures: Figures::begin(),
        }
    }

    /// Sets the gap: how long the account was without a connection before this worker took it.
    #[must_use]
    pub fn after(mut self, gap: Option<Gap>) -> Self {
        self.figures.gap = gap;
        self
    }

    /// Runs until the session ends. No socket of it is open afterwards.
    pub async fn run(mut self) -> End {
        self.look().await;
        let mut check = tokio::time::interval(CHECK_EVERY);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.settle().await;
            if let State::Ended(end) = self.state {
                if !matches!(end, End::Lost(_)) {
                    self.mail.unanswered();
                    self.write_gathered().await;
                }
                return end;
            }
            tokio::select! {
                biased;
                loss = self.orders.right.lost(), if !self.lost => {
                    self.lost = true;
                    self.queue.push_back(Event::Lost(loss));
                }
                () = self.orders.release.cancelled(), if !self.released => {
                    self.released = true;
                    self.queue.push_back(Event::Release);
                }
                () = self.orders.look.notified() => self.look().await,
                Some(reported) = self.pending.next() => self.reported(reported).await,
                written = under_way(&mut self.writing), if self.writing.is_some() => self.wrote(written),
                // events wait until the connection is opened, so that the session holds the connection before it hears
                // of it; and until there is room for what they bring
                Some(delivery) = self.connection.hear(),
                    if !self.connection.is_opening() && (self.writing.is_none() || self.mail.has_room()) =>
                {
                    self.take(delivery);
                }
                Some(report) = self.mail.hear() => {
                    self.queue.extend(self.mail.heard(report, self.connection.serial()));
                }
                () = until(self.state.wakes_at()) => self.queue.push_back(Event::Tick),
                _ = check.tick(), if self.mail.is_sending() => self.queue.extend(self.mail.oldest()),
            }
        }
    }

    /// Decides and acts until no event is left. Gathered results are written before each decision; if there is nothing
    /// to decide, they are written while more is gathered.
    async fn settle(&mut self) {
        loop {
            if !self.queue.is_empty() {
                self.write_gathered().await;
            }
            if let Some(event) = self.queue.pop_front() {
                self.step(event).await;
            } else if matches!(self.state, State::Finishing { .. }) && self.mail.is_idle() {
                self.queue.push_back(Event::Idle);
            } else {
                break;
            }
        }
        self.begin_write();
    }

    async fn step(&mut self, event: Event) {
        if let Event::Closed(CloseReason::UnknownKey(key)) = &event {
            self.context.unknown_key.met(key);
        }
        let before = self.state.word();
        let (state, actions) = decide(std::mem::replace(&mut self.state, State::Fresh), event, BootTime::now());
        self.state = state;
        if before != self.state.word() {
            let from = before.map_or("ended", SessionState::as_str);
            tracing::debug!(account = %self.fence.account, from, to = self.state.name(), "session");
            let online = matches!(self.state, State::Online { .. });
            self.orders.online.store(online, Ordering::Relaxed);
            self.mail.is_online(online);
        }
        self.figures.stepped(before, &self.state);
        for action in actions {
            self.perform(action).await;
        }
    }

    /// Reads the account's row under the epoch.
    pub(super) async fn look(&mut self) {
        match self
            .persist(
                "read the account",
                |context, fence| async move { session::load(context.store.under(fence)).await },
            )
            .await
        {
            Ok(row) => {
                let facts = Facts::from(&row);
                if let Ok(left) = Duration::try_from_secs_f64(row.held_left_s)
                    && !left.is_zero()
                {
                    self.mail.hold(left);
                }
                self.figures.looked(&row);
                self.row = Some(row);
                self.queue.push_back(Event::Row(facts));
            }
            Err(loss) => self.queue.push_back(Event::Lost(loss)),
        }
    }

    /// Repeats a database operation until it succeeds, fails for good, or the session may not act any more.
    pub(super) fn persist<T, F, Fut>(
        &self,
        what: &'static str,
        attempt: F,
    ) -> impl Future<Output = Result<T, Loss>> + use<T, F, Fut>
    where
        F: Fn(Arc<Context>, Fence) -> Fut,
        Fut: Future<Output = store::Result<T>>,
    {
        let (context, fence, right) = (Arc::clone(&self.context), self.fence, self.orders.right.clone());
        async move {
            let mut pause = Pause::new();
            loop {
                let attempt = answered(attempt(Arc::clone(&context), fence));
                match while_trusted(&context.trust, &right, attempt).await? {
                    Ok(done) => return Ok(done),
                    Err(Error::Fenced) => return Err(Loss::Fenced),
                    Err(error) if error.is_transient() => {
                        tracing::warn!(account = %fence.account, %error, what, "the database did not do it: trying again");
                    }
                    Err(error) => {
                        tracing::error!(account = %fence.account, %error, what, "the database will never do it: giving the account back");
                        return Err(Loss::Unwritable);
                    }
                }
                while_trusted(&context.trust, &right, tokio::time::sleep(pause.next())).await?;
            }
        }
    }

    /// Takes one event of a connection, and others that are waiting, up to a limit.
    fn take(&mut self, first: Delivery) {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(delivery) = next {
            self.absorb(delivery);
            taken += 1;
            next = if taken < GATHER && self.queue.is_empty() { self.connection.waiting() } else { None };
        }
    }

    fn absorb(&mut self, Delivery { serial, event, commit }: Delivery) {
        let event = match event {
            LinkEvent::Ack { whatsapp_id, error, .. } => {
                return self.mail.ack(&whatsapp_id, error, self.context.reachout_hold);
            }
            LinkEvent::Receipt { whatsapp_ids, kind, at, .. } => {
                return self.mail.receipt(whatsapp_ids, kind, at);
            }
            LinkEvent::Messages(messages) => return self.mail.messages(messages, commit),
            _ if serial != self.connection.serial() => return, // an event of a connection that was given up
            LinkEvent::QrExhausted => return,
            LinkEvent::GroupsChanged => Event::GroupsChanged,
            LinkEvent::QrCode { code, lifetime } => Event::Code { code, lifetime },
            LinkEvent::PairingCodeStale => Event::CodeStale,
            LinkEvent::PasskeyRequired { options } => Event::Advice(Passkey::Present(options)),
            LinkEvent::PasskeyCode { code } => Event::Advice(Passkey::Compare(code)),
            LinkEvent::Paired { jid, .. } => Event::Accepted { jid },
            LinkEvent::PairFailed { reason } => Event::PairFailed(reason),
            LinkEvent::Connected { number, jid, lid, push_name } => {
                Event::Connected(Who { number, jid, lid, push_name })
            }
            LinkEvent::Closed(reason) => {
                metrics::LINKS_CLOSED.of(reason.word()).inc();
                self.connection.ended();
                self.mail.unanswered();
                Event::Closed(reason)
            }
        };
        self.queue.push_back(event);
    }

    /// Starts to write what is gathered, unless a write is under way.
    fn begin_write(&mut self) {
        if self.writing.is_none() && !self.mail.is_written() {
            let (context, right) = (Arc::clone(&self.context), self.orders.right.clone());
            self.writing = Some(self.mail.write(context, self.fence, right));
        }
    }

    /// Writes the gathered results, after those that are being written.
    async fn write_gathered(&mut self) {
        self.begin_write();
        while self.writing.is_some() {
            let written = under_way(&mut self.writing).await;
            self.wrote(written);
            self.begin_write();
        }
    }

    /// A write has ended.
    fn wrote(&mut self, written: Result<(), Loss>) {
        self.writing = None;
        match written {
            Ok(()) => self.tell(),
            Err(loss) => {
                self.mail.forget();
                self.queue.push_back(Event::Lost(loss));
            }
        }
    }

    /// Notifies the tenant's live streams that events were written.
    pub(super) fn tell(&self) {
        if let Some(row) = &self.row {
            self.context.bus.signal(row.tenant);
        }
    }

    async fn reported(&mut self, reported: Reported) {
        match reported {
            Reported::Event(event) => self.queue.push_back(event),
            Reported::Opened(opened) => self.queue.push_back(self.connection.opened(opened, self.fence)),
            Reported::PairingCode(code) => self.pairing_code(code).await,
            Reported::Passkey(taken) => self.passkey_taken(taken),
            Reported::Groups(serial, groups) => self.groups(serial, groups).await,
        }
    }
}

/// Waits for the end of the write under way; for ever if there is none.
async fn under_way(writing: &mut Option<Writing>) -> Result<(), Loss> {
    match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    }
}

/// Sleeps until an instant of the boot clock, or for ever if there is none.
async fn until(at: Option<BootTime>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(BootTime::now())).await,
        None => std::future::pending().await,
    }
}
