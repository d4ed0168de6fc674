//! The words of all labels, where they are not those of a domain type.

use std::sync::OnceLock;

use super::label::{Component, Label, Labels, labels};
use crate::account;
use crate::job::{Answer, Bell, Queue, Rung};
use crate::reminder::catch_up::Why;
use crate::run;

labels! {
    /// Kinds of bells.
    BellKind { Pair = "pair", Unpair = "unpair", Send = "send", FireReminder = "fire_reminder" }
    /// What became of a ring.
    RingOutcome { Rung = "rung", Coalesced = "coalesced", Full = "full", Failed = "failed" }
    /// What a handler said about a bell.
    BellAnswer { Done = "done", Snooze = "snooze", Retry = "retry", GiveUp = "give_up", NotMine = "not_mine" }
    /// Queues of bells; the inboxes of all workers are one.
    QueueKind { Inbox = "inbox", Claim = "claim", FireReminder = "fire-reminder" }
    /// Queues that all workers share.
    SharedQueue { Claim = "claim", FireReminder = "fire-reminder" }
    /// How a message left the outbox.
    MessageOutcome { Sent = "sent", Failed = "failed", Expired = "expired" }
    /// Why a message failed: WhatsApp's refusals (403, 404, 420 and 479, any other), the client's own, no confirmation after
    /// several tries, and runs whose account lost its phone.
    FailReason {
        Forbidden = "forbidden", NoSuchGroup = "no_such_group", StaleKeys = "stale_keys", Refused = "refused",
        Client = "client", Unconfirmed = "unconfirmed", LoggedOut = "logged_out", Unpaired = "unpaired",
    }
    /// A step of a message's way.
    MessageStage { HandedOver = "handed_over", Server = "server", Delivered = "delivered", Read = "read" }
    /// Whether anything stood between a message and its socket when it was accepted.
    MessagePath { Straight = "straight", Waited = "waited" }
    /// Where a session is.
    SessionState {
        Fresh = "fresh", Opening = "opening", Pairing = "pairing", Accepted = "accepted", Linking = "linking", Online = "online",
        Finishing = "finishing", Backoff = "backoff", Rechecking = "rechecking", LoggingOut = "logging_out", Closing = "closing",
    }
    /// Why a WhatsApp connection ended.
    LinkEnd {
        RestartRequired = "restart_required", Replaced = "replaced", LoggedOut = "logged_out", Banned = "banned",
        Outdated = "outdated", Refused = "refused", Dropped = "dropped", PairingExpired = "pairing_expired",
        Requested = "requested", Fenced = "fenced", UnknownKey = "unknown_key",
    }
    /// Why a connection was made anew: how the one before ended, no acknowledgement (`stale`), or no login (`no_answer`).
    RestartCause {
        RestartRequired = "restart_required", Replaced = "replaced", Outdated = "outdated", Refused = "refused",
        Dropped = "dropped", PairingExpired = "pairing_expired", Requested = "requested", Stale = "stale",
        NoAnswer = "no_answer", Other = "other",
    }
    /// What became of a try to claim an account.
    ClaimOutcome { Claimed = "claimed", Refused = "refused", Failed = "failed" }
    /// How the last owner lost an account: it gave it back, or fell silent.
    GapCause { Released = "released", Silent = "silent" }
    /// Who counted a connect: the bucket in Redis, or this worker alone while Redis is away.
    Counted { Cluster = "cluster", Alone = "alone" }
    /// Where the right to act is renewed.
    Store { Postgres = "postgres", Redis = "redis" }
    /// A step of a pairing, or its end.
    PairingStep {
        Started = "started", CodeShown = "code_shown", Scanned = "scanned", Connected = "connected", Timeout = "timeout",
        Duplicate = "duplicate", Failed = "failed",
    }
    /// What became of an attempt to post an event.
    AttemptOutcome { Delivered = "delivered", Retry = "retry", Failed = "failed" }
    /// Why the house disabled a webhook.
    DisabledReason { Failing = "failing", Gone = "gone" }
    /// How a run ended, or that it rests.
    RunEnd {
        Success = "success", Partial = "partial", Failed = "failed", Paused = "paused", Canceled = "canceled", Missed = "missed",
    }
    /// How a round of a duty ended.
    DutyOutcome { Ok = "ok", Error = "error" }
    /// Classes of HTTP statuses.
    CodeClass { Success = "2xx", Redirect = "3xx", Client = "4xx", Server = "5xx" }
    /// Connections of a pool.
    ConnectionState { Idle = "idle", InUse = "in_use" }
    /// Why Postgres did not do it.
    PostgresError {
        Unreachable = "unreachable", Timeout = "timeout", PoolTimeout = "pool_timeout", Auth = "auth", Permission = "permission",
        ReadOnly = "read_only", DiskFull = "disk_full", Schema = "schema", Constraint = "constraint", Deadlock = "deadlock",
        TooManyConnections = "too_many_connections", Other = "other",
    }
    /// Why Redis did not do it.
    RedisError {
        Unreachable = "unreachable", Timeout = "timeout", Auth = "auth", ReadOnly = "read_only",
        OutOfMemory = "out_of_memory", Other = "other",
    }
    /// How the database's schema differs from the one that this binary knows.
    SchemaGap { Pending = "pending", Unknown = "unknown" }
    /// What became of a span that was to be exported: the collector took it, did not take it, or too many were waiting.
    SpanEnd { Sent = "sent", Refused = "refused", NoRoom = "no_room" }
    /// Workers, by their heartbeat.
    WorkerState { Live = "live", Leaving = "leaving", Silent = "silent" }
    /// Webhooks, by how their receiver does.
    WebhookState { Enabled = "enabled", Failing = "failing", Disabled = "disabled" }
    /// Tables that grow with use.
    Table {
        Accounts = "accounts", ApiKeys = "api_keys", Audit = "audit", Credentials = "credentials", EventEra = "event_era",
        Events = "events",
        Groups = "groups", HandOvers = "hand_overs", IdempotencyKeys = "idempotency_keys", Leases = "leases", Messages = "messages",
        Notifications = "notifications", Passkeys = "passkeys", ReminderMessages = "reminder_messages",
        ReminderTargets = "reminder_targets", Reminders = "reminders", RunTargets = "run_targets", Runs = "runs",
        Settings = "settings", Tenants = "tenants", WebhookDeliveries = "webhook_deliveries", Webhooks = "webhooks",
        Workers = "workers",
    }
}

impl From<&Bell> for BellKind {
    fn from(bell: &Bell) -> Self {
        match bell {
            Bell::Pair { .. } => Self::Pair,
            Bell::Unpair { .. } => Self::Unpair,
            Bell::Send { .. } => Self::Send,
            Bell::FireReminder { .. } => Self::FireReminder,
        }
    }
}

impl From<Rung> for RingOutcome {
    fn from(rung: Rung) -> Self {
        match rung {
            Rung::Rung => Self::Rung,
            Rung::Coalesced => Self::Coalesced,
            Rung::Full => Self::Full,
        }
    }
}

impl From<&Answer> for BellAnswer {
    fn from(answer: &Answer) -> Self {
        match answer {
            Answer::Done => Self::Done,
            Answer::Snooze(_) => Self::Snooze,
            Answer::Retry(_) => Self::Retry,
            Answer::GiveUp(_) => Self::GiveUp,
            Answer::NotMine => Self::NotMine,
        }
    }
}

impl From<Queue> for QueueKind {
    fn from(queue: Queue) -> Self {
        match queue {
            Queue::Inbox(_) => Self::Inbox,
            Queue::Claim => Self::Claim,
            Queue::FireReminder => Self::FireReminder,
        }
    }
}

impl RunEnd {
    /// What is counted of a status; none while the run goes on.
    #[must_use]
    pub const fn of(status: run::Status) -> Option<Self> {
        match status {
            run::Status::Pending | run::Status::Running => None,
            run::Status::Success => Some(Self::Success),
            run::Status::Partial => Some(Self::Partial),
            run::Status::Failed => Some(Self::Failed),
            run::Status::Paused => Some(Self::Paused),
            run::Status::Canceled => Some(Self::Canceled),
            run::Status::Missed => Some(Self::Missed),
        }
    }
}

impl From<LinkEnd> for RestartCause {
    fn from(end: LinkEnd) -> Self {
        match end {
            LinkEnd::RestartRequired => Self::RestartRequired,
            LinkEnd::Replaced => Self::Replaced,
            LinkEnd::Outdated => Self::Outdated,
            LinkEnd::Refused => Self::Refused,
            LinkEnd::Dropped => Self::Dropped,
            LinkEnd::PairingExpired => Self::PairingExpired,
            LinkEnd::Requested => Self::Requested,
            // after these no connection is made anew
            LinkEnd::LoggedOut | LinkEnd::Banned | LinkEnd::Fenced | LinkEnd::UnknownKey => Self::Other,
        }
    }
}

impl CodeClass {
    /// The class of a status; what is below 200 never ends a request.
    #[must_use]
    pub const fn of(status: u16) -> Self {
        match status {
            0..=299 => Self::Success,
            300..=399 => Self::Redirect,
            400..=499 => Self::Client,
            _ => Self::Server,
        }
    }
}

impl Label for account::Status {
    fn all(_: Component) -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Label for Why {
    fn all(_: Component) -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn word(self) -> &'static str {
        self.as_str()
    }
}

/// A pool of connections to Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    /// Everything but the heartbeat.
    Rows,
    /// A worker's heartbeat.
    Keeping,
}

impl Label for Pool {
    fn all(of: Component) -> Vec<Self> {
        if of == Component::Worker { vec![Self::Rows, Self::Keeping] } else { vec![Self::Rows] }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Keeping => "keeping",
        }
    }
}

/// What Redis is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RedisUser {
    /// Leases.
    Lease,
    /// Bells.
    Doorbell,
    /// Live signals.
    Bus,
    /// The limiter of connects.
    Limiter,
    /// The pings behind `redis_ping_seconds`.
    Sample,
}

impl Label for RedisUser {
    fn all(of: Component) -> Vec<Self> {
        match of {
            Component::Worker => vec![Self::Lease, Self::Doorbell, Self::Bus, Self::Limiter, Self::Sample],
            Component::Api | Component::Scheduler => vec![Self::Doorbell, Self::Bus, Self::Sample],
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Doorbell => "doorbell",
            Self::Bus => "bus",
            Self::Limiter => "limiter",
            Self::Sample => "sample",
        }
    }
}

/// What waits in the rows, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Waiting {
    kind: &'static str,
    reason: &'static str,
}

impl Waiting {
    /// Every kind with each of its reasons.
    pub const ALL: &[Self] = &[
        Self::new("message", "ready"),
        Self::new("message", "unowned"),
        Self::new("message", "offline"),
        Self::new("message", "unlinked"),
        Self::new("message", "held"),
        Self::new("message", "banned"),
        Self::new("pairing", "ready"),
        Self::new("unpairing", "ready"),
        Self::new("group_sync", "ready"),
        Self::new("run", "ready"),
        Self::new("reminder", "ready"),
        Self::new("delivery", "ready"),
        Self::new("delivery", "retry"),
    ];

    const fn new(kind: &'static str, reason: &'static str) -> Self {
        Self { kind, reason }
    }

    /// What waits.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        self.kind
    }

    /// For what.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.reason
    }
}

impl Labels for Waiting {
    fn all(_: Component) -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.kind, self.reason]
    }

    fn sets() -> Vec<String> {
        let reasons = |kind: &str| {
            let own = Self::ALL.iter().filter(|one| one.kind == kind);
            own.map(|one| one.reason).collect::<Vec<_>>().join(", ")
        };
        let mut kinds: Vec<&str> = Self::ALL.iter().map(|one| one.kind).collect();
        kinds.dedup();
        vec![
            kinds.join(", "),
            format!("message: {}; delivery: {}; else ready", reasons("message"), reasons("delivery")),
        ]
    }
}

/// A build of a binary: one series with the value 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build(Component);

impl Labels for Build {
    fn all(of: Component) -> Vec<Self> {
        vec![Self(of)]
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.0.as_str(), super::VERSION, super::REVISION]
    }

    fn sets() -> Vec<String> {
        vec!["api, worker, scheduler".to_owned(), "as in Cargo.toml".to_owned(), "git's, or unknown".to_owned()]
    }
}

static DUTIES: OnceLock<Vec<&'static str>> = OnceLock::new();

/// A scheduler's duty: the noun of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duty(pub &'static str);

impl Duty {
    /// Says once which duties there are, before the page is made.
    pub fn are(names: impl IntoIterator<Item = &'static str>) {
        DUTIES.get_or_init(|| names.into_iter().collect());
    }
}

impl Label for Duty {
    const SAYS: Option<&'static str> = Some("the duties of `scheduler/src/duties`");

    fn all(_: Component) -> Vec<Self> {
        DUTIES.get().into_iter().flatten().map(|name| Self(name)).collect()
    }

    fn word(self) -> &'static str {
        self.0
    }
}

static ENDPOINTS: OnceLock<Vec<Endpoint>> = OnceLock::new();

/// A route of the API with one of its methods. Only those that were declared are ever counted by name: what a client makes up is
/// `unmatched`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    route: &'static str,
    method: &'static str,
}

impl Endpoint {
    /// No route, or none with this method.
    pub const UNMATCHED: Self = Self { route: "unmatched", method: "other" };

    /// Says once which routes there are, before the page is made.
    pub fn are(routes: impl IntoIterator<Item = (String, &'static str)>) {
        ENDPOINTS.get_or_init(|| {
            let known = routes.into_iter().map(|(route, method)| Self { route: route.leak(), method });
            known.chain([Self::UNMATCHED]).collect()
        });
    }

    /// The declared one. What `HEAD` asks for is a `GET`.
    #[must_use]
    pub fn of(route: Option<&str>, method: &str) -> Self {
        let method = if method == "HEAD" { "GET" } else { method };
        let known = ENDPOINTS.get().into_iter().flatten();
        known.copied().find(|one| Some(one.route) == route && one.method == method).unwrap_or(Self::UNMATCHED)
    }

    /// The route's pattern.
    #[must_use]
    pub const fn route(self) -> &'static str {
        self.route
    }
}

impl Labels for Endpoint {
    fn all(_: Component) -> Vec<Self> {
        ENDPOINTS.get().map_or_else(|| vec![Self::UNMATCHED], Clone::clone)
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.route, self.method]
    }

    fn sets() -> Vec<String> {
        vec!["the routes of the API, unmatched".to_owned(), "their methods, other".to_owned()]
    }
}
