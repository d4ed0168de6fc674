"""Alerts about messages, bells and pairing. R06."""

from .alerting import Alert, Case, Theme

WAITING = 'switchboard_waiting{kind="message",reason="%s"}'
AGE = 'switchboard_waiting_oldest_seconds{kind="%s",reason="%s"}'
SENT = 'switchboard_messages_total{outcome="sent"}'

ALERTS = [
    Alert(
        "MessagesStalled", "page", "5m",
        """
        max by ($BY) (switchboard_waiting{kind="message",reason="ready"}) > 0
        and on ($BY)
        sum by ($BY) (rate(switchboard_messages_total{outcome="sent"}[5m])) == 0
        """,
        "Messages wait at accounts that are online, and none goes out",
        "{{ $value | humanize }} messages are ready to go, and for five minutes not one was acknowledged by WhatsApp.",
        ("overview", 13),
        fires=[Case({WAITING % "ready": "0x5 40x30", SENT: "0+10x5 50x30"}, "20m")],
        silent=[
            Case({WAITING % "ready": "0x5 40x30", SENT: "0+10x40"}, "20m", why="they go out, however many wait"),
            Case({WAITING % "ready": "0x40", WAITING % "offline": "40x40", SENT: "50x40"}, "20m", why="what waits has no phone"),
        ],
    ),
    Alert(
        "OldestMessageWaits", "ticket", "5m",
        'max by ($BY, reason) (switchboard_waiting_oldest_seconds{kind="message",reason=~"ready|unowned"}) > 60',
        "A message has waited for longer than a minute: {{ $labels.reason }}",
        "The oldest message that only we keep waiting is {{ $value | humanizeDuration }} old.",
        ("accounts", 14),
        fires=[
            Case({AGE % ("message", "ready"): "0x5 70+60x20"}, "12m", {"reason": "ready"}),
            Case({AGE % ("message", "unowned"): "0x5 70+60x20"}, "12m", {"reason": "unowned"}),
        ],
        silent=[
            Case({AGE % ("message", "ready"): "30x20", AGE % ("message", "offline"): "0+60x40"}, "12m", why="the old one's account is offline"),
            Case({AGE % ("message", "ready"): "0x5 70x2 0x20"}, "12m", why="a short jam"),
        ],
    ),
    Alert(
        "QueueStalled", "page", "5m",
        """
        max by ($BY, queue) (switchboard_queue_jobs) > 0
        and on ($BY)
        sum by ($BY) (rate(switchboard_bells_answered_total[5m])) == 0
        """,
        "Jobs lie in the queue {{ $labels.queue }} and no worker answers",
        "{{ $value | humanize }} bells lie in Redis, and for five minutes no worker has answered any.",
        ("internals", 4),
        fires=[Case({'switchboard_queue_jobs{queue="claim"}': "0x5 12x30", 'switchboard_bells_answered_total{kind="send",answer="done"}': "0+9x5 45x30"}, "20m", {"queue": "claim"})],
        silent=[
            Case({'switchboard_queue_jobs{queue="claim"}': "0x5 12x30", 'switchboard_bells_answered_total{kind="send",answer="done"}': "0+9x40"}, "20m", why="bells are answered"),
            Case({'switchboard_queue_jobs{queue="claim"}': "0x40", 'switchboard_bells_answered_total{kind="send",answer="done"}': "45x40"}, "20m", why="a quiet night"),
        ],
    ),
    Alert(
        "WorkWaits", "ticket", "5m",
        'max by ($BY, kind) (switchboard_waiting_oldest_seconds{kind=~"pairing|unpairing|group_sync|run",reason="ready"}) > 120',
        "The oldest {{ $labels.kind }} has waited for longer than two minutes",
        "Something that a person asked for ({{ $labels.kind }}) has not been begun for {{ $value | humanizeDuration }}.",
        ("overview", 15),
        fires=[Case({AGE % ("pairing", "ready"): "0x5 130+60x20"}, "12m", {"kind": "pairing"})],
        silent=[Case({AGE % ("pairing", "ready"): "20x40", AGE % ("reminder", "ready"): "0+60x40"}, "12m", why="reminders have an alert of their own")],
    ),
    Alert(
        "BellsFailing", "ticket", "10m",
        'sum by ($BY, outcome) (rate(switchboard_bells_rung_total{outcome=~"failed|full"}[5m])) > 0.1',
        "Bells can't be rung: {{ $labels.outcome }}",
        "{{ $value | humanize }} bells a second are lost. The rows stay; a duty of the scheduler rings again after RING_AGAIN_S, so everything is slower by seconds.",
        ("internals", 2),
        fires=[Case({'switchboard_bells_rung_total{kind="send",outcome="failed"}': "0+60x40"}, "20m", {"outcome": "failed"})],
        silent=[Case({'switchboard_bells_rung_total{kind="send",outcome="failed"}': "0x5 30x40", 'switchboard_bells_rung_total{kind="send",outcome="coalesced"}': "0+60x40"}, "20m")],
    ),
    Alert(
        "ConsumersRestarting", "ticket", "0m",
        "sum by ($BY, queue) (increase(switchboard_consumer_restarts_total[15m])) > 10",
        "Consumers of the queue {{ $labels.queue }} start anew again and again",
        "{{ $value | humanize }} restarts within a quarter of an hour. Usually Redis goes away and comes back.",
        ("internals", 6),
        fires=[Case({'switchboard_consumer_restarts_total{queue="inbox"}': "0+2x30"}, "20m", {"queue": "inbox"})],
        silent=[Case({'switchboard_consumer_restarts_total{queue="inbox"}': "0x5 3x30"}, "20m")],
    ),
    Alert(
        "MessagesFailing", "ticket", "5m",
        """
        sum by ($BY, reason) (increase(switchboard_messages_failed_total[30m])) > 10
        and
        sum by ($BY, reason) (increase(switchboard_messages_failed_total[30m]))
          > on ($BY) group_left () 0.05 * sum by ($BY) (increase(switchboard_messages_total[30m]))
        """,
        "More than one in twenty messages fails: {{ $labels.reason }}",
        "{{ $value | humanize }} messages failed for this reason within half an hour.",
        ("accounts", 12),
        fires=[Case({'switchboard_messages_failed_total{reason="no_such_group"}': "0+2x60", SENT: "0+10x60"}, "40m", {"reason": "no_such_group"})],
        silent=[
            Case({'switchboard_messages_failed_total{reason="no_such_group"}': "0+2x60", SENT: "0+100x60"}, "40m", why="two in a hundred"),
            Case({'switchboard_messages_failed_total{reason="no_such_group"}': "0x30 3x30", SENT: "0x30 1x30"}, "40m", why="three of four are few"),
        ],
    ),
    Alert(
        "PairingCodesSlow", "ticket", "5m",
        "histogram_quantile(0.95, sum by ($BY, le) (rate(switchboard_pairing_first_code_seconds_bucket[15m]))) > 5",
        "The first pairing code takes longer than five seconds",
        "Of twenty people who pair, one waits {{ $value | humanizeDuration }} or longer for the first code.",
        ("accounts", 8),
        fires=[Case({f'switchboard_pairing_first_code_seconds_bucket{{le="{le}"}}': values for le, values in [("1", "0x40"), ("10", "0+1x40"), ("+Inf", "0+1x40")]}, "30m")],
        silent=[Case({f'switchboard_pairing_first_code_seconds_bucket{{le="{le}"}}': values for le, values in [("1", "0+1x40"), ("10", "0+1x40"), ("+Inf", "0+1x40")]}, "30m")],
    ),
    Alert(
        "PairingsFailing", "ticket", "0m",
        """
        sum by ($BY) (increase(switchboard_pairings_total{step="failed"}[30m])) > 3
        and
        sum by ($BY) (increase(switchboard_pairings_total{step="failed"}[30m]))
          > 0.5 * sum by ($BY) (increase(switchboard_pairings_total{step="started"}[30m]))
        """,
        "Most pairings fail",
        "{{ $value | humanize }} pairings failed within half an hour, more than half of those that were started. People who just don't scan are not counted.",
        ("accounts", 7),
        fires=[Case({'switchboard_pairings_total{step="failed"}': "0+1x40", 'switchboard_pairings_total{step="started"}': "0+1x40"}, "35m")],
        silent=[
            Case({'switchboard_pairings_total{step="failed"}': "0+1x40", 'switchboard_pairings_total{step="started"}': "0+9x40"}, "35m"),
            Case({'switchboard_pairings_total{step="timeout"}': "0+9x40", 'switchboard_pairings_total{step="failed"}': "0x40", 'switchboard_pairings_total{step="started"}': "0+9x40"}, "35m", why="nobody scanned"),
        ],
    ),
]

THEME = Theme("delivery", "Messages, bells and pairing", ALERTS)
