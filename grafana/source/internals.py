"""Internals: for us. Bells, sessions, duties, routes, stores and the runtime. R06."""

from .schema import RED, Dashboard, Panel, Query, Row, oldest, quantile, quantiles, rate

JOB = 'job=~".*switchboard.*",$S'

BELLS = Row(
    "Bells",
    [
        Panel(
            1, "Rung, by kind", "stack", "ops",
            "Bells rung per second by all parts.", "as many as requests and reminders ask for",
            [Query(rate("switchboard_bells_rung_total", "kind"), "{{kind}}")],
            width=6,
        ),
        Panel(
            2, "Rung, by outcome", "stack", "ops",
            "`coalesced`: an equal bell lay there. `full` and `failed`: only the duty that rings again helps.",
            "rung and coalesced",
            [Query(rate("switchboard_bells_rung_total", "outcome"), "{{outcome}}")],
            width=6,
        ),
        Panel(
            3, "Answered, by answer", "stack", "ops",
            "What workers said to bells.", "done; not_mine only around hand-overs",
            [Query(rate("switchboard_bells_answered_total", "answer"), "{{answer}}")],
            width=6,
        ),
        Panel(
            4, "Jobs in shared queues", "line", "none",
            "Bells that lie in Redis, by queue.", "near zero",
            [Query(oldest("switchboard_queue_jobs", "queue"), "{{queue}}")],
            width=6,
        ),
        Panel(
            5, "Answers per second, by kind", "line", "ops",
            "Bells answered, whatever the answer.", "close to those rung",
            [Query(rate("switchboard_bells_answered_total", "kind"), "{{kind}}")],
            width=12,
        ),
        Panel(
            6, "Consumers restarted in 15 minutes", "bars", "none",
            "Queue consumers whose backend ended and was started anew.", "none; a few when Redis goes",
            [Query("sum by (queue) (increase(switchboard_consumer_restarts_total{$S}[15m]))", "{{queue}}")],
            width=12,
        ),
    ],
)

SESSIONS = Row(
    "Sessions and the right to act",
    [
        Panel(
            7, "Sessions, by state", "stack", "none",
            "States of the session machine over all workers.", "online; others for seconds",
            [Query("sum by (state) (switchboard_sessions{$S}) > 0", "{{state}}")],
        ),
        Panel(
            8, "Connections made anew, by reason", "stack", "ops",
            "Restarts of a session's connection: a link's end, `stale` (no acknowledgement), `no_answer` (no login).",
            "a low, even noise",
            [Query(f'{rate("switchboard_session_restarts_total", "reason")} > 0', "{{reason}}")],
        ),
        Panel(
            9, "Lost sessions in 15 minutes", "bars", "none",
            "Sessions cut off, by cause. fenced: another worker has the account. lapsed: neither store confirmed this worker's right in time. "
            "unwritable: Postgres will never take what had to be written.",
            "none",
            [Query("sum by (instance, cause) (increase(switchboard_sessions_lost_total{$S}[15m]))", "{{instance}} {{cause}}")],
        ),
        Panel(
            10, "Renewal of the right to act", "line", "s",
            "Time that a renewal took at each store.", "p99 below 100 ms",
            quantiles("switchboard_renewal_seconds", "store", shares=(0.5, 0.99)), steps=((1, RED),),
        ),
        Panel(
            11, "Wait for the connect limiter", "line", "s",
            "How long sessions that come back wait for their turn.", "near zero",
            quantiles("switchboard_connect_wait_seconds"),
        ),
        Panel(
            12, "Webhooks and deliveries held, by worker", "line", "none",
            "Webhooks that each worker moves, and deliveries that wait at them.", "even; a backlog near zero",
            [
                Query("switchboard_webhooks_held{$S}", "held {{instance}}"),
                Query("switchboard_webhook_backlog{$S}", "backlog {{instance}}"),
            ],
        ),
    ],
)

TIMES = Row(
    "Where the time goes",
    [
        Panel(
            13, "Acceptance to acknowledgement", "heatmap", "s",
            "Distribution of straight sends over time, with exemplars that lead to traces.", "one dark band far below 5 s",
            [
                Query(
                    'sum by (le) (increase(switchboard_message_end_to_end_seconds_bucket{path="straight",$S}[$__rate_interval]))',
                    "{{le}}",
                )
            ],
            width=12,
        ),
        Panel(
            14, "Stages of a message", "line", "s",
            "Row to hand-over to the server's acknowledgement.", "p95 below 1 s",
            quantiles("switchboard_message_stage_seconds", "stage", 'stage=~"handed_over|server"', (0.5, 0.95)),
            width=12,
        ),
    ],
)

DUTIES = Row(
    "Duties of the scheduler",
    [
        Panel(
            15, "Runs, by duty", "line", "ops",
            "Runs per second over all schedulers.", "steady lines",
            [Query(rate("switchboard_duty_runs_total", "duty"), "{{duty}}")],
            width=6,
        ),
        Panel(
            16, "Runs that failed, by duty", "bars", "ops",
            "Runs per second that ended with an error.", "none",
            [Query(rate("switchboard_duty_runs_total", "duty", 'outcome="error"'), "{{duty}}")],
            width=6,
        ),
        Panel(
            17, "Time of a run, by duty", "line", "s",
            "p99 of one run.", "below 1 s, `prune` aside",
            [Query(quantile(0.99, "switchboard_duty_seconds", "duty"), "{{duty}}")],
            width=6,
        ),
        Panel(
            18, "Time since the last success, by duty", "line", "s",
            "By the scheduler that succeeded last.", "below twice the duty's interval",
            [
                Query(
                    "time() - max by (duty) (switchboard_duty_last_success_timestamp_seconds{$S} > 0)", "{{duty}}"
                )
            ],
            width=6,
        ),
    ],
    collapsed=True,
)

HTTP = Row(
    "API",
    [
        Panel(
            19, "Requests, by route", "stack", "reqps",
            "Requests per second.", "your usual day",
            [Query(f'{rate("switchboard_http_requests_total", "route, method")} > 0', "{{method}} {{route}}")],
        ),
        Panel(
            20, "p99, by route", "line", "s",
            "The slowest of a hundred requests.", "below 250 ms; streams and long polls aside",
            [Query(f'{quantile(0.99, "switchboard_http_request_seconds", "route, method")} > 0', "{{method}} {{route}}")],
        ),
        Panel(
            21, "Requests in flight", "line", "none",
            "Requests that are being answered, by api process.", "a handful",
            [Query("switchboard_http_requests_in_flight{$S}", "{{instance}}")],
        ),
    ],
    collapsed=True,
)

STORES = Row(
    "Postgres and Redis",
    [
        Panel(
            22, "Postgres connections, by pool", "line", "none",
            "Connections in use, and the pools' limits.", "far below the limits",
            [
                Query('sum by (job, pool) (switchboard_postgres_connections{state="in_use",$S})', "{{job}} {{pool}} in use"),
                Query("sum by (job, pool) (switchboard_postgres_connections_max{$S})", "{{job}} {{pool}} limit"),
            ],
        ),
        Panel(
            23, "Postgres wait, by process", "line", "s",
            "p99 from asking a pool to the answer of a ping.", "below 50 ms",
            [Query(quantile(0.99, "switchboard_postgres_wait_seconds", "job, instance"), "{{job}} {{instance}}")],
            steps=((0.5, RED),),
        ),
        Panel(
            24, "Postgres errors, by process and kind", "bars", "ops",
            "Failed questions per second.", "none; `constraint` alone may be a tenant's doing",
            [Query(f'{rate("switchboard_postgres_errors_total", "job, kind")} > 0', "{{job}} {{kind}}")],
        ),
        Panel(
            25, "Redis errors, by user and kind", "bars", "ops",
            "Failed questions per second, by what asked.", "none",
            [Query(f'{rate("switchboard_redis_errors_total", "user, kind")} > 0', "{{user}} {{kind}}")],
            width=12,
        ),
        Panel(
            26, "Redis ping, by process", "line", "s",
            "p99 of the sampled pings.", "below 10 ms",
            [Query(quantile(0.99, "switchboard_redis_ping_seconds", "job, instance"), "{{job}} {{instance}}")],
            width=12, steps=((0.1, RED),),
        ),
    ],
    collapsed=True,
)

RUNTIME = Row(
    "Runtime",
    [
        Panel(
            27, "Busy threads", "line", "percentunit",
            "Share of the runtime's threads that run tasks.", "below 70 %",
            [
                Query(
                    "rate(switchboard_tokio_busy_seconds_total{$S}[$__rate_interval]) / switchboard_tokio_workers{$S}",
                    "{{job}} {{instance}}",
                )
            ],
            high=1, steps=((0.9, RED),),
        ),
        Panel(
            28, "Timer lag", "line", "s",
            "How much later than asked timers fire, p99: a task that blocks a thread shows here.", "below 10 ms",
            [Query(quantile(0.99, "switchboard_tokio_timer_lag_seconds", "job, instance"), "{{job}} {{instance}}")],
            steps=((0.1, RED),),
        ),
        Panel(
            29, "Tasks alive", "line", "none",
            "Tasks of the runtime.", "flat; for workers even with the accounts held",
            [Query("switchboard_tokio_alive_tasks{$S}", "{{job}} {{instance}}")],
        ),
        Panel(
            30, "Tasks that wait for a thread", "line", "none",
            "Depth of the runtime's global queue.", "near zero",
            [Query("switchboard_tokio_global_queue_depth{$S}", "{{job}} {{instance}}")],
        ),
        Panel(
            31, "Series per page", "line", "none",
            "Series that each process serves; 2,000 is the limit that a test holds.", "flat",
            [Query(f"scrape_samples_scraped{{{JOB}}}", "{{job}} {{instance}}")],
            steps=((2000, RED),),
        ),
        Panel(
            32, "Time of a scrape", "line", "s",
            "Time that Prometheus needed for a page.", "below 50 ms",
            [Query(f"scrape_duration_seconds{{{JOB}}}", "{{job}} {{instance}}")],
        ),
        Panel(
            33, "Spans, by what became of them", "line", "ops",
            "Spans that were to be exported. `refused`: the collector did not take them; `no_room`: too many were waiting.",
            "sent alone, or nothing where nobody traces",
            [Query(rate("switchboard_trace_spans_total", "outcome"), "{{outcome}}")],
        ),
    ],
    collapsed=True,
)

DASHBOARD = Dashboard(
    "internals", "Internals", "For us: bells, sessions, duties, routes, stores and the runtime",
    [BELLS, SESSIONS, TIMES, DUTIES, HTTP, STORES, RUNTIME],
    since="now-1h",
)
