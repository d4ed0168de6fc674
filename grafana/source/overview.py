"""Overview: for the SRE on call. Is anything wrong, for whom, since when, and which part is to blame? R06."""

from .schema import GREEN, RED, YELLOW, Dashboard, Panel, Query, Row, oldest, quantile, quantiles, rate, whole

ERRORS = 'sum(rate(switchboard_http_requests_total{code="5xx",$S}[$__rate_interval]))'
LEFT = "1 - switchboard:slo_errors:ratio30d{$S} / on (slo) group_left () (1 - switchboard:slo:objective)"
FAR = ((10, YELLOW), (60, RED))

NOW = Row(
    "Right now",
    [
        Panel(
            1, "Alerts that page", "stat", "none",
            "Alerts of severity page that fire.", "zero",
            [Query('count(ALERTS{alertname=~"Switchboard.*",alertstate="firing",severity="page",$S}) or vector(0)', "page")],
            width=3, height=4, steps=((1, RED),),
        ),
        Panel(
            2, "Tickets open", "stat", "none",
            "Alerts of severity ticket that fire: for the working day.", "zero, or what you know of",
            [Query('count(ALERTS{alertname=~"Switchboard.*",alertstate="firing",severity="ticket",$S}) or vector(0)', "ticket")],
            width=3, height=4, steps=((1, YELLOW),),
        ),
        Panel(
            3, "Accounts online", "stat", "percentunit",
            "Accounts that are connected and have a live owner, of those that should be.", "99 % or more",
            [Query(f"{whole('switchboard_accounts_online')} / ({whole('switchboard_accounts_wanted')} > 0)", "online")],
            width=3, height=4, base=RED, steps=((0.95, YELLOW), (0.99, GREEN)), decimals=1, high=1,
        ),
        Panel(
            4, "Workers live", "stat", "none",
            "Workers with a fresh heartbeat that are not leaving.", "as many as you deployed, two or more",
            [Query(whole("switchboard_workers", match='state="live"'), "live")],
            width=3, height=4, base=RED, steps=((1, YELLOW), (2, GREEN)),
        ),
        Panel(
            5, "Oldest ready message", "stat", "s",
            "Age of the oldest message whose account is online and which has not been handed over.", "below 10 s",
            [Query(oldest("switchboard_waiting_oldest_seconds", match='kind="message",reason="ready"'), "age")],
            width=3, height=4, steps=FAR,
        ),
        Panel(
            6, "API errors", "stat", "percentunit",
            "Share of requests that ended with 5xx.", "below 0.1 %",
            [Query(f"{ERRORS} / (sum(rate(switchboard_http_requests_total{{$S}}[$__rate_interval])) > 0)", "5xx")],
            width=3, height=4, steps=((0.001, YELLOW), (0.01, RED)), decimals=2, high=1,
        ),
        Panel(
            7, "Oldest reminder due", "stat", "s",
            "Age of the oldest occurrence that is due and has not fired.", "below 5 s",
            [Query(oldest("switchboard_waiting_oldest_seconds", match='kind="reminder"'), "age")],
            width=3, height=4, steps=((5, YELLOW), (60, RED)),
        ),
        Panel(
            8, "Not ready", "stat", "none",
            "Processes that answer 503 at /readyz, or do not answer Prometheus at all.", "zero, or one during a rollout",
            [
                Query(
                    'count(switchboard_ready{$S} == 0 or up{job=~".*switchboard.*",$S} == 0) or vector(0)', "not ready"
                )
            ],
            width=3, height=4, steps=((1, YELLOW), (2, RED)),
        ),
        Panel(
            9, "Alerts that fire or are about to", "table", "none",
            "Each alert of Switchboard with its state and labels; the alert itself links to its runbook.",
            "an empty table",
            [Query('ALERTS{alertname=~"Switchboard.*",$S}', "{{alertname}}", table=True)],
            width=24, height=7, hidden=("Value", "cluster", "job"),
        ),
    ],
)

OBJECTIVES = Row(
    "Objectives over 30 days",
    [
        Panel(
            10, "Error budget left", "bargauge", "percentunit",
            "What is left of each objective's budget of errors over 30 days; below zero the objective is missed.",
            "more than half",
            [Query(LEFT, "{{slo}}")],
            width=8, base=RED, steps=((0, YELLOW), (0.5, GREEN)), low=0, high=1, decimals=0,
        ),
        Panel(
            11, "Burn rate, last hour", "line", "none",
            "How many times faster than allowed the budget is used up. 14.4 for an hour pages, 6 for six hours pages.",
            "every line below 1",
            [Query("switchboard:slo_errors:ratio1h{$S} / on (slo) group_left () (1 - switchboard:slo:objective)", "{{slo}}")],
            width=8, steps=((6, YELLOW), (14.4, RED)),
        ),
        Panel(
            12, "Share that was good, 30 days", "table", "percentunit",
            "What was measured, beside the objective. An objective without traffic has no row.",
            "measured at or above the objective",
            [
                Query("1 - switchboard:slo_errors:ratio30d{$S}", "measured", table=True),
                Query("switchboard:slo:objective", "objective", table=True),
            ],
            width=8, decimals=3, hidden=("cluster", "namespace"),
            headings={"Value #A": "measured", "Value #B": "objective", "slo": "objective of"},
        ),
    ],
)

SIGNALS = Row(
    "Messages and requests",
    [
        Panel(
            13, "Messages that left the outbox", "stack", "ops",
            "Messages per second by outcome: acknowledged by WhatsApp's server, failed, or expired.",
            "all of it sent",
            [Query(rate("switchboard_messages_total", "outcome"), "{{outcome}}")],
        ),
        Panel(
            14, "Acceptance to acknowledgement", "line", "s",
            "Time from a message's row to the server's acknowledgement, for accounts that were online.",
            "p99 well below 5 s",
            quantiles("switchboard_message_end_to_end_seconds", match='path="straight"'), steps=((5, RED),),
        ),
        Panel(
            15, "Oldest that waits, by kind", "line", "s",
            "Age of the oldest row of each kind for which nothing but us is to blame.", "seconds, falling back to zero",
            [Query(oldest("switchboard_waiting_oldest_seconds", "kind", 'reason=~"ready|unowned"'), "{{kind}}")],
            steps=((60, RED),),
        ),
        Panel(
            16, "API requests", "stack", "reqps",
            "Requests per second by class of status.", "2xx, and few others",
            [Query(rate("switchboard_http_requests_total", "code"), "{{code}}")],
        ),
        Panel(
            17, "API latency", "line", "s",
            "Time that requests took, over all routes.", "p99 below 250 ms",
            quantiles("switchboard_http_request_seconds"), steps=((1, RED),),
        ),
        Panel(
            18, "Reminder lateness", "line", "s",
            "Time between an occurrence and its run's row.", "p99 below 1 s",
            quantiles("switchboard_occurrence_lateness_seconds"), steps=((5, RED),),
        ),
    ],
)

LINES = Row(
    "Connections to WhatsApp",
    [
        Panel(
            19, "Accounts: wanted and online", "line", "none",
            "Accounts that should be online, those that are, those that a worker holds, and those that no live one does.", "three lines on top of each other, and zero",
            [
                Query(whole("switchboard_accounts_wanted"), "wanted"),
                Query(whole("switchboard_accounts_online"), "online"),
                Query("sum(switchboard_leases_held{$S})", "owned"),
                Query(whole("switchboard_accounts_unowned"), "without an owner"),
            ],
        ),
        Panel(
            20, "Connections that ended, by reason", "stack", "ops",
            "Ends of connections to WhatsApp per second. `requested` and `restart_required` are part of the work; `dropped` is "
            "the network, `replaced` a second socket, `logged_out` and `banned` WhatsApp's doing.",
            "a low, even noise; no reason that leaps",
            [Query(f'{rate("switchboard_links_closed_total", "reason")} > 0', "{{reason}}")],
        ),
        Panel(
            21, "What waits, by kind and reason", "stack", "none",
            "Rows that wait for something to happen.", "`ready` near zero; the rest waits for phones or people",
            [Query(f'{whole("switchboard_waiting", "kind, reason")} > 0', "{{kind}}: {{reason}}")],
        ),
    ],
    collapsed=True,
)

STORES = Row(
    "What we depend on",
    [
        Panel(
            22, "Postgres: errors by kind", "stack", "ops",
            "Failed questions to Postgres per second, over all processes.", "none",
            [Query(f'{rate("switchboard_postgres_errors_total", "kind")}', "{{kind}}")],
        ),
        Panel(
            23, "Postgres: wait for a connection and its ping", "line", "s",
            "Sampled every five seconds by each process; the slowest pool shows first.", "p99 below 50 ms",
            [Query(quantile(0.99, "switchboard_postgres_wait_seconds", "pool"), "p99 {{pool}}")], steps=((0.5, RED),),
        ),
        Panel(
            24, "Redis: errors by kind", "stack", "ops",
            "Failed questions to Redis per second, over all processes.", "none",
            [Query(rate("switchboard_redis_errors_total", "kind"), "{{kind}}")],
        ),
        Panel(
            25, "Redis: ping", "line", "s",
            "Sampled every five seconds by each process.", "p99 below 10 ms",
            quantiles("switchboard_redis_ping_seconds"), steps=((0.1, RED),),
        ),
        Panel(
            26, "Clock less Postgres's clock", "line", "s",
            "Each process's wall clock beside the database's.", "within 100 ms of zero",
            [Query("switchboard_clock_offset_seconds{$S}", "{{job}} {{instance}}")], low=None, steps=((1, RED),),
        ),
        Panel(
            27, "Schema and binary", "stat", "none",
            "`pending`: migrations that the database lacks; `unknown`: migrations that the oldest binary does not know.",
            "zero and zero",
            [Query("max by (state) (switchboard_schema_migrations{$S})", "{{state}}")], steps=((1, RED),),
        ),
        Panel(
            28, "Ready, by process", "line", "none",
            "The last answer of each process at /readyz.", "every line at one",
            [Query("switchboard_ready{$S}", "{{job}} {{instance}}")], high=1,
        ),
        Panel(
            29, "Age of the cluster's measurement", "line", "s",
            "How long ago a scheduler last read the gauges about the whole cluster from Postgres.", "below 30 s",
            [Query("time() - max(switchboard_measured_timestamp_seconds{$S})", "age")], steps=((120, RED),),
        ),
        Panel(
            30, "Who counts connects", "stack", "ops",
            "Connects allowed per second: by the cluster's bucket in Redis, or alone while Redis is away.",
            "all by the cluster",
            [Query(rate("switchboard_connects_total", "counted"), "{{counted}}")],
        ),
    ],
    collapsed=True,
)

DASHBOARD = Dashboard(
    "overview", "Overview", "For the SRE on call: is anything wrong, for whom, and which part is to blame",
    [NOW, OBJECTIVES, SIGNALS, LINES, STORES],
)
