"""Alerts about webhooks and live streams. R06."""

from .alerting import Alert, Case, Theme

POSTS = 'switchboard_webhook_attempts_total{outcome="%s"}'
HOOKS = 'switchboard_webhooks{state="%s"}'
AGE = 'switchboard_waiting_oldest_seconds{kind="delivery",reason="%s"}'

ALERTS = [
    Alert(
        "WebhooksAllFailing", "page", "5m",
        """
        sum by ($BY) (increase(switchboard_webhook_attempts_total[10m])) > 20
        unless
        sum by ($BY) (increase(switchboard_webhook_attempts_total{outcome="delivered"}[10m])) > 0
        """,
        "No webhook is delivered at all",
        "{{ $value | humanize }} posts within ten minutes and not one delivered: rather our way out (DNS, egress, NetworkPolicy, TLS) than every receiver.",
        ("accounts", 20),
        fires=[Case({POSTS % "retry": "0+10x40", POSTS % "delivered": "50x40"}, "30m")],
        silent=[Case({POSTS % "retry": "0+10x40", POSTS % "delivered": "0+1x40"}, "30m", why="some arrive"), Case({POSTS % "retry": "0x40", POSTS % "delivered": "50x40"}, "30m", why="nothing to post")],
    ),
    Alert(
        "WebhookPostsFailing", "ticket", "15m",
        """
        sum by ($BY) (increase(switchboard_webhook_attempts_total{outcome=~"retry|failed"}[30m]))
          / (sum by ($BY) (increase(switchboard_webhook_attempts_total[30m])) > 50) > 0.5
        """,
        "More than half of the posts to webhooks fail",
        "{{ $value | humanizePercentage }} of the attempts of the last half hour failed.",
        ("accounts", 20),
        fires=[Case({POSTS % "retry": "0+8x90", POSTS % "failed": "0+1x90", POSTS % "delivered": "0+2x90"}, "60m")],
        silent=[Case({POSTS % "retry": "0+2x90", POSTS % "delivered": "0+8x90"}, "60m"), Case({POSTS % "retry": "0+1x90", POSTS % "delivered": "0x90"}, "60m", why="one post a minute is one receiver")],
    ),
    Alert(
        "WebhookEndpointsFailing", "ticket", "30m",
        """
        max by ($BY) (switchboard_webhooks{state="failing"}) >= 3
        and
        max by ($BY) (switchboard_webhooks{state="failing"})
          > 0.25 * (max by ($BY) (switchboard_webhooks{state="failing"}) + max by ($BY) (switchboard_webhooks{state="enabled"}))
        """,
        "More than a quarter of the webhooks fail",
        "{{ $value | humanize }} receivers have not answered 2xx lately.",
        ("accounts", 22),
        fires=[Case({HOOKS % "failing": "4x60", HOOKS % "enabled": "6x60"}, "40m")],
        silent=[Case({HOOKS % "failing": "4x60", HOOKS % "enabled": "96x60"}, "40m"), Case({HOOKS % "failing": "2x60", HOOKS % "enabled": "2x60"}, "40m", why="two are few")],
    ),
    Alert(
        "WebhooksDisabled", "ticket", "0m",
        "sum by ($BY, reason) (increase(switchboard_webhooks_disabled_total[1h])) > 0",
        "Webhooks were disabled: {{ $labels.reason }}",
        "{{ $value | humanize }} webhooks were disabled within the last hour: after three days of failures, or since the receiver said 410. Their tenants miss events until they enable them again.",
        ("accounts", 24),
        fires=[Case({'switchboard_webhooks_disabled_total{reason="failing"}': "0x10 1x60"}, "30m", {"reason": "failing"})],
        silent=[Case({'switchboard_webhooks_disabled_total{reason="failing"}': "3x90", 'switchboard_webhooks_disabled_total{reason="gone"}': "0x90"}, "80m")],
    ),
    Alert(
        "DeliveriesWait", "ticket", "5m",
        'max by ($BY) (switchboard_waiting_oldest_seconds{kind="delivery",reason="ready"}) > 120',
        "Webhook deliveries wait to be posted",
        "The oldest delivery that could be posted at once has waited for {{ $value | humanizeDuration }}: a slow receiver (it gets four posts at a time), or workers that can't keep up.",
        ("accounts", 27),
        fires=[Case({AGE % "ready": "0x5 130+60x30"}, "15m")],
        silent=[Case({AGE % "ready": "5x40", AGE % "retry": "0+60x40"}, "15m", why="what is old waits for its next attempt")],
    ),
    Alert(
        "EventsLag", "ticket", "10m",
        """
        histogram_quantile(0.5, sum by ($BY, le) (rate(switchboard_webhook_event_lag_seconds_bucket[10m]))) > 15
        or
        histogram_quantile(0.99, sum by ($BY, le) (rate(switchboard_event_stream_lag_seconds_bucket[10m]))) > 15
        """,
        "Events reach webhooks or live streams late",
        "Half of the events take {{ $value | humanizeDuration }} or longer to their webhooks, or one in a hundred to its live stream. A long transaction in Postgres holds all events back.",
        ("accounts", 25),
        fires=[Case({f'switchboard_event_stream_lag_seconds_bucket{{le="{le}"}}': values for le, values in [("15", "0x40"), ("60", "0+9x40"), ("+Inf", "0+9x40")]}, "25m")],
        silent=[Case({f'switchboard_webhook_event_lag_seconds_bucket{{le="{le}"}}': values for le, values in [("15", "0+6x40"), ("60", "0+9x40"), ("+Inf", "0+9x40")]}, "25m", why="one slow receiver of three")],
    ),
]

THEME = Theme("webhooks", "Webhooks and live streams", ALERTS)
