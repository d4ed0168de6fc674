//! Every metric: which binaries show it, its labels, its buckets and its help text. Labels have closed sets of values:
//! never a tenant, an account or a phone number. `docs/metrics.md` is printed from here.

use domain::account::Status as AccountStatus;
use domain::reminder::catch_up::Why;

use super::family::{About, Counter, Gauge, Histogram, Metric};
use super::label::Component::{self, Api, Scheduler, Worker};
#[allow(clippy::wildcard_imports, reason = "the page speaks in these words")]
use super::labels::*;

const EVERY: &[Component] = &[Api, Worker, Scheduler];
const API: &[Component] = &[Api];
const WORKER: &[Component] = &[Worker];
const SCHEDULER: &[Component] = &[Scheduler];
const WORKER_SCHEDULER: &[Component] = &[Worker, Scheduler];

/// Waits inside a process, and queries to the stores.
const WAITS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Times until requests are answered.
const ANSWERS: &[f64] = &[0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Delays of things that should follow at once. 5 and 60 are goals.
const LAGS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];
/// Times in which an account has no owner. 5 and 60 are goals. A lease of 15 s ends 15 s after its owner fell silent.
const GAPS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 300.0];
/// Times of people, and of the servers of others. 5 and 60 are goals.
const LONG: &[f64] = &[0.05, 0.25, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 36_000.0, 86_400.0];

macro_rules! page {
    ($($who:ident $name:ident: $kind:ident $(<$label:ty>)? = $metric:literal $(by $($by:literal)+)? $(in $buckets:ident)?, $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $name: $kind $(<$label>)? = <$kind $(<$label>)?>::new(About {
                who: $who,
                name: concat!("switchboard_", $metric),
                help: $help,
                labels: &[$($($by),+)?],
                buckets: page!(@ $($buckets)?),
            });
        )+
        /// Every metric, in the order of this page.
        pub static PAGE: &[&dyn Metric] = &[$(&$name),+];
    };
    (@ $buckets:ident) => { $buckets };
    (@) => { &[] };
}

page! {
    // every binary: itself and what it depends on
    EVERY BUILD_INFO: Gauge<Build> = "build_info" by "component" "version" "revision", "1, with the build of this binary as labels";
    EVERY READY: Gauge = "ready", "1 if the last answer of /readyz was yes; 0 if it was no, or if nobody has asked yet";
    EVERY SCHEMA_MIGRATIONS: Gauge<SchemaGap> = "schema_migrations" by "state",
        "Migrations by which the database and this binary differ: pending (the database is older) or unknown (newer)";
    EVERY CLOCK_OFFSET_SECONDS: Gauge = "clock_offset_seconds", "This host's wall clock minus that of Postgres";
    EVERY POSTGRES_CONNECTIONS: Gauge<(Pool, ConnectionState)> = "postgres_connections" by "pool" "state",
        "Connections to Postgres that this process has open";
    EVERY POSTGRES_CONNECTIONS_MAX: Gauge<Pool> = "postgres_connections_max" by "pool",
        "Connections to Postgres that this process may have open";
    EVERY POSTGRES_WAIT_SECONDS: Histogram<Pool> = "postgres_wait_seconds" by "pool" in WAITS,
        "Time to get a connection of the pool and ping it, tried every 5 s; a failed try counts with the time until it \
         failed";
    EVERY POSTGRES_ERRORS: Counter<PostgresError> = "postgres_errors_total" by "kind",
        "Failed queries to Postgres; each failed retry counts as well";
    EVERY REDIS_PING_SECONDS: Histogram = "redis_ping_seconds" in WAITS,
        "Time of a ping of Redis, tried every 5 s; a failed try counts with the time until it failed";
    EVERY REDIS_ERRORS: Counter<(RedisUser, RedisError)> = "redis_errors_total" by "user" "kind",
        "Failed queries to Redis";
    EVERY TRACE_SPANS: Counter<SpanEnd> = "trace_spans_total" by "outcome",
        "Spans for export, by result; spans that were not sent are dropped";
    EVERY TOKIO_WORKERS: Gauge = "tokio_workers", "Threads of the runtime";
    EVERY TOKIO_ALIVE_TASKS: Gauge = "tokio_alive_tasks", "Tasks that have begun and have not ended";
    EVERY TOKIO_GLOBAL_QUEUE_DEPTH: Gauge = "tokio_global_queue_depth", "Tasks that wait for any thread of the runtime";
    EVERY TOKIO_BUSY_SECONDS: Counter = "tokio_busy_seconds_total",
        "Time in which the runtime's threads were busy, in total";
    EVERY TOKIO_TIMER_LAG_SECONDS: Histogram = "tokio_timer_lag_seconds" in WAITS,
        "How late a timer of 500 ms fires; it is late if the runtime is busy or the process was frozen";

    // api
    API HTTP_REQUESTS: Counter<(Endpoint, CodeClass)> = "http_requests_total" by "route" "method" "code",
        "Answered requests, by class of status";
    API HTTP_REQUEST_SECONDS: Histogram<Endpoint> = "http_request_seconds" by "route" "method" in ANSWERS,
        "Time until the answer to a request begins";
    API HTTP_REQUESTS_IN_FLIGHT: Gauge = "http_requests_in_flight", "Requests whose answer has not begun";
    API EVENT_STREAMS: Gauge = "event_streams", "Live streams of events that are open";
    API EVENT_STREAM_LAG_SECONDS: Histogram = "event_stream_lag_seconds" in LAGS,
        "From an event's time until it is sent to a live stream that had all earlier events";
    API MESSAGES_ACCEPTED: Counter = "messages_accepted_total", "Messages accepted by the API; a repeated request counts once";

    // bells
    EVERY BELLS_RUNG: Counter<(BellKind, RingOutcome)> = "bells_rung_total" by "kind" "outcome",
        "Rung bells, by result";
    WORKER BELLS_ANSWERED: Counter<(BellKind, BellAnswer)> = "bells_answered_total" by "kind" "answer",
        "Answered bells; a bell that is heard at once and also found in its queue counts twice";
    WORKER CONSUMER_RESTARTS: Counter<QueueKind> = "consumer_restarts_total" by "queue",
        "Consumers of a queue that were started again after their backend ended";

    // messages
    WORKER_SCHEDULER MESSAGES: Counter<MessageOutcome> = "messages_total" by "outcome",
        "Messages that left the outbox: acknowledged by WhatsApp's server, failed for good, or expired unsent";
    WORKER_SCHEDULER MESSAGES_FAILED: Counter<FailReason> = "messages_failed_total" by "reason",
        "Messages that failed for good, by reason";
    WORKER MESSAGE_STAGE_SECONDS: Histogram<MessageStage> = "message_stage_seconds" by "stage" in LAGS,
        "Steps of a message: acceptance to its last hand-over to WhatsApp, hand-over to the server's acknowledgement, \
         acknowledgement until the first receipt of delivery, or of reading, is known here";
    WORKER MESSAGE_END_TO_END_SECONDS: Histogram<MessagePath> = "message_end_to_end_seconds" by "path" in LAGS,
        "Acceptance to the server's acknowledgement. straight: this session was logged in when the message was \
         accepted, and there was no hold (WhatsApp's time-lock, or a pause after a fault of its server) in between";
    WORKER MESSAGES_RECEIVED: Counter = "messages_received_total",
        "Messages from others that were received and stored; each counts once";

    // sessions
    WORKER SESSIONS: Gauge<SessionState> = "sessions" by "state", "Sessions of this worker";
    WORKER SESSION_STATE_SECONDS: Counter<SessionState> = "session_state_seconds_total" by "state",
        "Time that sessions of this worker spent in a state, in total";
    WORKER SESSIONS_UNSTABLE: Gauge = "sessions_unstable", "Sessions whose connection was restarted at least five times in a row";
    WORKER SESSION_RESTARTS: Counter<RestartCause> = "session_restarts_total" by "reason", "Connections that were made again, by cause";
    WORKER LINKS_CLOSED: Counter<LinkEnd> = "links_closed_total" by "reason", "WhatsApp connections that ended";
    WORKER CONNECTS: Counter<Counted> = "connects_total" by "counted", "Connects that the limiter allowed";
    WORKER CONNECT_WAIT_SECONDS: Histogram = "connect_wait_seconds" in LAGS,
        "How long a session that returns waits for its turn at the limiter of connects";

    // leases and placement
    WORKER LEASES_HELD: Gauge = "leases_held", "Accounts that this worker holds";
    WORKER LEASE_CAPACITY: Gauge = "lease_capacity", "The highest number of accounts that this worker holds";
    WORKER CLAIMS: Counter<ClaimOutcome> = "claims_total" by "outcome", "Attempts to claim an account";
    WORKER TAKEOVER_GAP_SECONDS: Histogram<GapCause> = "takeover_gap_seconds" by "cause" in GAPS,
        "How long a linked account had no socket when its owner changed: from the instant at which the last owner gave \
         it back (released), or from the last heartbeat of an owner that fell silent (silent), until the login here. \
         Bans are left out";
    WORKER PLACEMENT_TARGET: Gauge = "placement_target", "Accounts that this worker should hold so that the cluster is in balance";
    WORKER SESSIONS_SHED: Counter = "sessions_shed_total", "Sessions that were handed over because other workers hold fewer";
    WORKER SESSIONS_LOST: Counter<Loss> = "sessions_lost_total" by "cause",
        "Sessions that were cut off: another owner has a higher epoch (fenced), neither store confirmed this worker's \
         right in time (lapsed), or Postgres can't store what had to be written (unwritable)";
    WORKER WORKER_TRUSTED: Gauge = "worker_trusted", "1 while this worker has the right to act, confirmed by Postgres or Redis";
    WORKER RENEWAL_SECONDS: Histogram<Store> = "renewal_seconds" by "store" in WAITS,
        "Time of a renewal of the right to act, confirmed or not";

    // pairing
    WORKER PAIRINGS: Counter<PairingStep> = "pairings_total" by "step",
        "Pairings that reached a step (started, code_shown, scanned, connected) or ended in another way";
    WORKER PAIRING_FIRST_CODE_SECONDS: Histogram = "pairing_first_code_seconds" in LAGS,
        "From the request to pair until its first code can be fetched";
    WORKER PAIRING_SCAN_SECONDS: Histogram = "pairing_scan_seconds" in LAGS, "From a phone's acceptance until the account is connected";

    // webhooks
    WORKER WEBHOOK_ATTEMPTS: Counter<AttemptOutcome> = "webhook_attempts_total" by "outcome",
        "Attempts to post an event to a webhook; failed: the last attempt, after which the delivery is given up";
    WORKER WEBHOOK_DELIVERY_SECONDS: Histogram = "webhook_delivery_seconds" in LONG, "From an event's time to the receiver's 2xx";
    WORKER WEBHOOK_EVENT_LAG_SECONDS: Histogram = "webhook_event_lag_seconds" in LAGS,
        "From an event's time until a webhook's follower has read it";
    WORKER WEBHOOKS_HELD: Gauge = "webhooks_held", "Webhooks that this worker serves";
    WORKER WEBHOOK_BACKLOG: Gauge = "webhook_backlog", "Waiting deliveries of this worker's webhooks, counted every 16 s";
    WORKER WEBHOOKS_DISABLED: Counter<DisabledReason> = "webhooks_disabled_total" by "reason", "Webhooks that Switchboard disabled";

    // reminders
    EVERY RUNS_ENDED: Counter<RunEnd> = "runs_ended_total" by "status",
        "Runs of reminders that ended or were paused; counted by the binary that ended them";
    SCHEDULER OCCURRENCES_FIRED: Counter = "occurrences_fired_total", "Occurrences of reminders that fired";
    SCHEDULER OCCURRENCES_MISSED: Counter<Why> = "occurrences_missed_total" by "reason",
        "Occurrences that were not sent; for each reminder only the first ten at a time";
    SCHEDULER OCCURRENCE_LATENESS_SECONDS: Histogram = "occurrence_lateness_seconds" in LAGS,
        "From an occurrence's time until it fires";

    // duties
    SCHEDULER DUTY_RUNS: Counter<(Duty, DutyOutcome)> = "duty_runs_total" by "duty" "outcome", "Rounds of duties, by result";
    SCHEDULER DUTY_SECONDS: Histogram<Duty> = "duty_seconds" by "duty" in ANSWERS, "Time of a round of a duty";
    SCHEDULER DUTY_LAST_SUCCESS: Gauge<Duty> = "duty_last_success_timestamp_seconds" by "duty",
        "When a round of a duty last succeeded here, in Unix seconds; 0: not yet";

    // the whole cluster, as each scheduler measures it every 10 s
    SCHEDULER MEASURED: Gauge = "measured_timestamp_seconds",
        "When the figures of the whole cluster were measured, in Unix seconds; 0: not yet";
    SCHEDULER ACCOUNTS: Gauge<AccountStatus> = "accounts" by "status", "Accounts of the cluster";
    SCHEDULER ACCOUNTS_WANTED: Gauge = "accounts_wanted", "Accounts of the cluster that are linked, should be online and are not banned";
    SCHEDULER ACCOUNTS_ONLINE: Gauge = "accounts_online", "Of accounts_wanted, those that are connected and whose owner is alive";
    SCHEDULER ACCOUNTS_UNOWNED: Gauge = "accounts_unowned", "Of accounts_wanted, those that no live worker holds";
    SCHEDULER WAITING: Gauge<Waiting> = "waiting" by "kind" "reason",
        "Waiting rows of the cluster; messages and deliveries are counted up to 20,000, runs and reminders up to \
         10,000";
    SCHEDULER WAITING_OLDEST_SECONDS: Gauge<Waiting> = "waiting_oldest_seconds" by "kind" "reason",
        "How long the oldest waiting row has waited; 0: none waits. Of messages, the first one of each of up to 2,500 \
         accounts is looked at; of other rows, those that are counted";
    SCHEDULER WORKERS: Gauge<WorkerState> = "workers" by "state",
        "Workers of the cluster; silent: no heartbeat for more than 15 s and less than ten minutes";
    SCHEDULER CAPACITY: Gauge = "capacity", "The highest number of accounts that the live workers of the cluster hold";
    SCHEDULER WEBHOOKS: Gauge<WebhookState> = "webhooks" by "state", "Webhooks of the cluster; failing ones are still tried";
    SCHEDULER TENANTS: Gauge = "tenants", "Tenants of the cluster";
    SCHEDULER QUEUE_JOBS: Gauge<SharedQueue> = "queue_jobs" by "queue", "Bells in the queues that all workers share";
    SCHEDULER TABLE_BYTES: Gauge<Table> = "table_bytes" by "table", "Size of a table, including its indexes and long values";
}
