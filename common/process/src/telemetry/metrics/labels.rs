//! The values of all labels, except those of a domain type.

mod sets;

pub use sets::{Build, Duty, Endpoint, Pool, RedisUser, Waiting};

use super::label::{Component, Label, labels};
use domain::account;
use domain::job::{Answer, Bell, Queue, Rung};
use domain::reminder::catch_up::Why;
use domain::run;

labels! {
    /// Kinds of bells.
    BellKind { Pair = "pair", Unpair = "unpair", Send = "send", FireReminder = "fire_reminder" }
    /// The result of a ring.
    RingOutcome { Rung = "rung", Coalesced = "coalesced", Full = "full", Failed = "failed" }
    /// The answer of a handler to a bell.
    BellAnswer { Done = "done", Snooze = "snooze", Retry = "retry", GiveUp = "give_up", NotMine = "not_mine" }
    /// Queues of bells. The inboxes of all workers count as one.
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
    /// Whether anything delayed a message when it was accepted.
    MessagePath { Straight = "straight", Waited = "waited" }
    /// The state of a session.
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
    /// Why a connection was made again: how the previous one ended, no acknowledgement (`stale`), or no login
    /// (`no_answer`).
    RestartCause {
        RestartRequired = "restart_required", Replaced = "replaced", Outdated = "outdated", Refused = "refused",
        Dropped = "dropped", PairingExpired = "pairing_expired", Requested = "requested", Stale = "stale",
        NoAnswer = "no_answer", Other = "other",
    }
    /// The result of an attempt to claim an account.
    ClaimOutcome { Claimed = "claimed", Refused = "refused", Failed = "failed" }
    /// How the last owner lost an account: it gave the account back, or fell silent.
    GapCause { Released = "released", Silent = "silent" }
    /// Why a session was lost: another owner holds the account, this worker's right to act ran out, or what the session had to write
    /// could not be written.
    Loss { Fenced = "fenced", Lapsed = "lapsed", Unwritable = "unwritable" }
    /// Who counted a connect: the bucket in Redis, or this worker alone while Redis is away.
    Counted { Cluster = "cluster", Alone = "alone" }
    /// Where the right to act is renewed.
    Store { Postgres = "postgres", Redis = "redis" }
    /// A step of a pairing, or its end.
    PairingStep {
        Started = "started", CodeShown = "code_shown", Scanned = "scanned", Connected = "connected", Timeout = "timeout",
        Duplicate = "duplicate", Failed = "failed",
    }
    /// The result of an attempt to post an event.
    AttemptOutcome { Delivered = "delivered", Retry = "retry", Failed = "failed" }
    /// Why Switchboard disabled a webhook.
    DisabledReason { Failing = "failing", Gone = "gone" }
    /// How a run ended, or that it was paused.
    RunEnd {
        Success = "success", Partial = "partial", Failed = "failed", Paused = "paused", Canceled = "canceled", Missed = "missed",
    }
    /// How a round of a duty ended.
    DutyOutcome { Ok = "ok", Error = "error" }
    /// Classes of HTTP statuses.
    CodeClass { Success = "2xx", Redirect = "3xx", Client = "4xx", Server = "5xx" }
    /// Connections of a pool.
    ConnectionState { Idle = "idle", InUse = "in_use" }
    /// Why a query to Postgres failed.
    PostgresError {
        Unreachable = "unreachable", Timeout = "timeout", PoolTimeout = "pool_timeout", Auth = "auth", Permission = "permission",
        ReadOnly = "read_only", DiskFull = "disk_full", Schema = "schema", Constraint = "constraint", Deadlock = "deadlock",
        TooManyConnections = "too_many_connections", Other = "other",
    }
    /// Why a query to Redis failed.
    RedisError {
        Unreachable = "unreachable", Timeout = "timeout", Auth = "auth", ReadOnly = "read_only",
        OutOfMemory = "out_of_memory", Other = "other",
    }
    /// How the database's schema differs from the one that this binary knows.
    SchemaGap { Pending = "pending", Unknown = "unknown" }
    /// The result for a span that is exported: the collector took it, did not take it, or too many spans were waiting.
    SpanEnd { Sent = "sent", Refused = "refused", NoRoom = "no_room" }
    /// Workers, by their heartbeat.
    WorkerState { Live = "live", Leaving = "leaving", Silent = "silent" }
    /// Webhooks, by the state of their receiver.
    WebhookState { Enabled = "enabled", Failing = "failing", Disabled = "disabled" }
    /// Tables that grow with use.
    Table {
        Accounts = "accounts", Answers = "answers", ApiKeys = "api_keys", Audit = "audit", Credentials = "credentials",
        EventEra = "event_era", Events = "events",
        Groups = "groups", HandOvers = "hand_overs", IdempotencyKeys = "idempotency_keys", Leases = "leases", Messages = "messages",
        Notifications = "notifications", Pairings = "pairings", Passkeys = "passkeys", ReminderMessages = "reminder_messages",
        ReminderTargets = "reminder_targets", Reminders = "reminders", RunTargets = "run_targets", Runs = "runs",
        Schedulers = "schedulers", Settings = "settings", Tenants = "tenants", WebhookDeliveries = "webhook_deliveries", Webhooks = "webhooks",
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
    /// The label of a status; `None` while the run goes on.
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
            // after these no connection is made again
            LinkEnd::LoggedOut | LinkEnd::Banned | LinkEnd::Fenced | LinkEnd::UnknownKey => Self::Other,
        }
    }
}

impl CodeClass {
    /// The class of a status. A status below 200 never ends a request.
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
