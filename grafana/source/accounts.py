"""Accounts and delivery: for support. Do phones link, do messages, reminders and webhooks arrive? R06."""

from .schema import RED, YELLOW, Dashboard, Panel, Query, Row, oldest, quantiles, rate, whole

LIFE = Row(
    "Accounts",
    [
        Panel(
            1, "Accounts, by status", "stack", "none",
            "All accounts. `logged_out` needs its owner to pair again, `banned` is WhatsApp's decision, `disconnected` comes "
            "back by itself.",
            "connected as a wide band",
            [Query(whole("switchboard_accounts", "status"), "{{status}}")],
            width=12,
        ),
        Panel(
            2, "Need a person", "stat", "none",
            "Accounts that will not come back by themselves.", "few, and not more than yesterday",
            [Query(whole("switchboard_accounts", "status", 'status=~"logged_out|banned"'), "{{status}}")],
            width=4, steps=((1, YELLOW), (50, RED)),
        ),
        Panel(
            3, "Unstable accounts", "stat", "none",
            "Sessions that restarted five times in a row or more. `session.unstable` told their tenants.", "zero",
            [Query("sum(switchboard_sessions_unstable{$S})", "unstable")],
            width=4, steps=((1, YELLOW), (20, RED)),
        ),
        Panel(
            4, "Should be online and is not", "stat", "none",
            "Linked accounts that are not banned and have no connection now.", "zero",
            [Query(f"{whole('switchboard_accounts_wanted')} - {whole('switchboard_accounts_online')}", "offline")],
            width=4, steps=((1, YELLOW), (50, RED)),
        ),
        Panel(
            5, "Where sessions spend their time", "stack", "percentunit",
            "Share of all sessions' time by state.", "online fills it",
            [
                Query(
                    "sum by (state) (rate(switchboard_session_state_seconds_total{$S}[$__rate_interval])) "
                    "/ on () group_left sum(rate(switchboard_session_state_seconds_total{$S}[$__rate_interval]))",
                    "{{state}}",
                )
            ],
            width=12, high=1,
        ),
        Panel(
            6, "Connections that ended, by reason", "stack", "ops",
            "`logged_out`: the phone removed the device. `replaced`: the same account logged in elsewhere. `dropped`: the network.",
            "a low, even noise",
            [Query(f'{rate("switchboard_links_closed_total", "reason")} > 0', "{{reason}}")],
            width=12,
        ),
    ],
)

PAIRING = Row(
    "Pairing",
    [
        Panel(
            7, "Pairings of the last hour, step by step", "bargauge", "none",
            "How far pairings came: started, code shown, scanned, connected; and how the others ended.",
            "each step nearly as long as the one before; timeouts are people who did not scan",
            [Query("sort_desc(sum by (step) (increase(switchboard_pairings_total{$S}[1h])))", "{{step}}")],
            decimals=0, base="blue",
        ),
        Panel(
            8, "Request to first code", "line", "s",
            "Time from the request to pair to the first code in the row.", "p95 below 1 s",
            quantiles("switchboard_pairing_first_code_seconds"), steps=((5, RED),),
        ),
        Panel(
            9, "Scan to connected", "line", "s",
            "Time from the phone's scan to the first login.", "p95 below 5 s",
            quantiles("switchboard_pairing_scan_seconds"), steps=((30, RED),),
        ),
    ],
)

MESSAGES = Row(
    "Messages",
    [
        Panel(
            10, "Sent and received", "line", "ops",
            "Messages acknowledged by WhatsApp's server, and messages received, per second.", "your usual day",
            [
                Query('sum(rate(switchboard_messages_total{outcome="sent",$S}[$__rate_interval]))', "sent"),
                Query("sum(rate(switchboard_messages_received_total{$S}[$__rate_interval]))", "received"),
                Query("sum(rate(switchboard_messages_accepted_total{$S}[$__rate_interval]))", "accepted"),
            ],
        ),
        Panel(
            11, "Stages, 95 of 100 within", "line", "s",
            "Row to hand-over, hand-over to the server's acknowledgement, then to delivered and to read. The last two depend on "
            "the receiver's phone.",
            "handed over and server below 1 s",
            [
                Query(
                    "histogram_quantile(0.95, sum by (le, stage) "
                    "(rate(switchboard_message_stage_seconds_bucket{$S}[$__rate_interval])))",
                    "{{stage}}",
                )
            ],
        ),
        Panel(
            12, "Failed, by reason", "bars", "ops",
            "Messages that failed for good, per second.", "few; `GET /v1/messages/{id}` tells each reason in words",
            [Query(f'{rate("switchboard_messages_failed_total", "reason")} > 0', "{{reason}}")],
        ),
        Panel(
            13, "Messages that wait, by reason", "stack", "none",
            "`ready`: ours to send. `unowned`: no worker holds the account. `offline`, `unlinked`, `banned`: the account can't send. "
            "`held`: waits for its turn.",
            "ready and unowned near zero",
            [Query(whole("switchboard_waiting", "reason", 'kind="message"'), "{{reason}}")],
        ),
        Panel(
            14, "Oldest message that waits, by reason", "line", "s",
            "Age of the oldest queued message.", "ready below 10 s",
            [Query(oldest("switchboard_waiting_oldest_seconds", "reason", 'kind="message"'), "{{reason}}")],
        ),
        Panel(
            15, "Acceptance to acknowledgement, by path", "line", "s",
            "`straight`: the account was online and not held when the message was accepted. `waited`: it was not.",
            "straight below 5 s; waited as long as accounts are away",
            quantiles("switchboard_message_end_to_end_seconds", "path", shares=(0.5, 0.95)),
        ),
    ],
)

REMINDERS = Row(
    "Reminders",
    [
        Panel(
            16, "Occurrences fired", "line", "ops",
            "Occurrences of reminders that fired, per second.", "your usual day",
            [Query(rate("switchboard_occurrences_fired_total"), "fired")],
            width=6,
        ),
        Panel(
            17, "Occurrences missed in an hour, by reason", "bars", "none",
            "`too_late` and `late`: no scheduler ran then. `overlap`, `queue_full`, `superseded`: the reminder's own settings.",
            "no too_late, no late",
            [Query("sum by (reason) (increase(switchboard_occurrences_missed_total{$S}[1h]))", "{{reason}}")],
            width=6,
        ),
        Panel(
            18, "Lateness", "line", "s",
            "Time between an occurrence and its run's row.", "p99 below 1 s",
            quantiles("switchboard_occurrence_lateness_seconds"), width=6, steps=((5, RED),),
        ),
        Panel(
            19, "Runs that ended in an hour, by status", "bars", "none",
            "`partial` and `failed` have a reason for each target: `GET /v1/runs/{id}`.", "success, and few others",
            [Query("sum by (status) (increase(switchboard_runs_ended_total{$S}[1h]))", "{{status}}")],
            width=6,
        ),
    ],
    collapsed=True,
)

WEBHOOKS = Row(
    "Webhooks and live streams",
    [
        Panel(
            20, "Posts, by outcome", "stack", "ops",
            "Attempts per second. A `retry` is tried again for about a day; `failed` is given up.", "delivered",
            [Query(rate("switchboard_webhook_attempts_total", "outcome"), "{{outcome}}")],
        ),
        Panel(
            21, "Event to the receiver's 2xx", "line", "s",
            "Over deliveries that succeeded.", "p95 below 1 s",
            quantiles("switchboard_webhook_delivery_seconds"), steps=((60, RED),),
        ),
        Panel(
            22, "Webhooks, by state", "stack", "none",
            "`failing`: the last attempts failed. `disabled`: given up after three days, or the receiver said 410.",
            "enabled, few failing",
            [Query(whole("switchboard_webhooks", "state"), "{{state}}")],
        ),
        Panel(
            23, "Deliveries that wait", "line", "none",
            "`ready` is ours to post, `retry` waits for its next attempt.", "ready near zero",
            [Query(whole("switchboard_waiting", "reason", 'kind="delivery"'), "{{reason}}")],
        ),
        Panel(
            24, "Disabled within a day, by reason", "bargauge", "none",
            "Webhooks that the house disabled; `webhook.disabled` told their tenants.", "zero",
            [Query("sum by (reason) (increase(switchboard_webhooks_disabled_total{$S}[1d]))", "{{reason}}")],
            decimals=0, steps=((1, YELLOW),),
        ),
        Panel(
            25, "Event to its readers", "line", "s",
            "From an event to its webhook's follower, and to what is written on a live stream. One webhook with a slow receiver, whose "
            "follower waits for it, makes the p99.",
            "below 1 s",
            [
                Query(
                    "histogram_quantile(0.5, sum by (le) (rate(switchboard_webhook_event_lag_seconds_bucket{$S}[$__rate_interval])))",
                    "p50 webhooks",
                ),
                Query(
                    "histogram_quantile(0.99, sum by (le) (rate(switchboard_webhook_event_lag_seconds_bucket{$S}[$__rate_interval])))",
                    "p99 webhooks",
                ),
                Query(
                    "histogram_quantile(0.99, sum by (le) (rate(switchboard_event_stream_lag_seconds_bucket{$S}[$__rate_interval])))",
                    "p99 streams",
                ),
            ],
            steps=((15, RED),),
        ),
        Panel(
            27, "Oldest delivery that waits, by reason", "line", "s",
            "`ready` could be posted at once; `retry` waits for its next attempt, for a day at most.", "ready below 10 s",
            [Query(oldest("switchboard_waiting_oldest_seconds", "reason", 'kind="delivery"'), "{{reason}}")],
        ),
        Panel(
            26, "Live streams open", "line", "none",
            "Connections to GET /v1/events, by api process.", "about even over the processes",
            [Query("sum by (instance) (switchboard_event_streams{$S})", "{{instance}}")],
        ),
    ],
    collapsed=True,
)

DASHBOARD = Dashboard(
    "accounts", "Accounts and delivery", "For support: do phones link, do messages, reminders and webhooks arrive",
    [LIFE, PAIRING, MESSAGES, REMINDERS, WEBHOOKS],
    since="now-6h",
)
