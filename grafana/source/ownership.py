"""Alerts about owners, workers and connections: who holds which account, and is it online? R06."""

from .alerting import Alert, Case, Theme

OWN = "requested|restart_required|pairing_expired|fenced"
WANTED, UNOWNED = "switchboard_accounts_wanted", "switchboard_accounts_unowned"
HELD = 'switchboard_leases_held{instance="w1"}'
ENDS = 'switchboard_links_closed_total{instance="w1",reason="%s"}'

ALERTS = [
    Alert(
        "FencedConflict", "page", "0m",
        'sum by ($BY) (increase(switchboard_sessions_lost_total{cause="fenced"}[5m])) > 0',
        "Two workers believed that they own one account",
        "{{ $value | humanize }} sessions found within five minutes that another worker has their account. The fence held, so nothing was "
        "written twice; but a worker acted, or was frozen, beyond its right to act.",
        ("internals", 9),
        fires=[
            Case({'switchboard_sessions_lost_total{cause="fenced",instance="w1"}': "0x5 1x10"}, "8m"),
            Case({'switchboard_sessions_lost_total{cause="fenced",instance="w1",namespace="prod"}': "0x5 2x10"}, "8m", {"namespace": "prod"}),
        ],
        silent=[
            Case({'switchboard_sessions_lost_total{cause="lapsed",instance="w1"}': "0x5 1x10"}, "8m", why="no other worker was in it"),
            Case({'switchboard_sessions_lost_total{cause="fenced",instance="w1"}': "7x20"}, "8m", why="long ago"),
        ],
    ),
    Alert(
        "NoWorkerLive", "page", "1m",
        'max by ($BY) (switchboard_workers{state="live"}) == 0',
        "No worker is live: no account is online",
        "No worker has a fresh heartbeat. Nothing is sent or received; messages and reminders wait in Postgres.",
        ("overview", 4),
        fires=[Case({'switchboard_workers{state="live",instance="s1"}': "3x5 0x10"}, "9m")],
        silent=[Case({'switchboard_workers{state="live",instance="s1"}': "3x5 1x10", 'switchboard_workers{state="silent",instance="s1"}': "0x5 2x10"}, "9m", why="one is left")],
    ),
    Alert(
        "WorkerSilent", "ticket", "1m",
        """
        max by ($BY) (switchboard_workers{state="silent"})
          - max by ($BY) (min_over_time(switchboard_workers{state="silent"}[15m])) > 0
        """,
        "A worker fell silent without a goodbye",
        "{{ $value | humanize }} more workers than a quarter of an hour ago stopped their heartbeat without leaving: killed, frozen, out of memory, or cut off "
        "from Postgres. Their accounts are taken over within LEASE_TTL_MS.",
        ("capacity", 9),
        fires=[Case({'switchboard_workers{state="silent",instance="s1"}': "0x20 1x10"}, "23m")],
        silent=[Case({'switchboard_workers{state="silent",instance="s1"}': "2x60"}, "40m", why="the same two as before"), Case({'switchboard_workers{state="silent",instance="s1"}': "0x60"}, "40m")],
    ),
    Alert(
        "AccountsWithoutOwner", "page", "3m",
        "max by ($BY) (switchboard_accounts_unowned) > 0",
        "Accounts that should be online have no owner",
        "{{ $value | humanize }} accounts are held by no live worker. After the end of a worker they should have a new owner within 20 s.",
        ("overview", 19),
        fires=[Case({UNOWNED: "0x5 10x20"}, "10m")],
        silent=[Case({UNOWNED: "0x5 10x1 0x20"}, "10m", why="taken over at once")],
    ),
    Alert(
        "AccountsOffline", "ticket", "10m",
        "1 - max by ($BY) (switchboard_accounts_online) / (max by ($BY) (switchboard_accounts_wanted) > 0) > 0.05",
        "More than one in twenty accounts that should be online is not",
        "{{ $value | humanizePercentage }} of the accounts that should be online are not, for ten minutes.",
        ("accounts", 4),
        fires=[Case({WANTED: "100x30", "switchboard_accounts_online": "90x30"}, "12m")],
        silent=[Case({WANTED: "100x30", "switchboard_accounts_online": "96x30"}, "12m"), Case({WANTED: "0x30", "switchboard_accounts_online": "0x30"}, "12m", why="no accounts at all")],
    ),
    Alert(
        "MassDisconnect", "page", "0m",
        f"""
        sum by ($BY, reason) (increase(switchboard_links_closed_total{{reason!~"{OWN}"}}[5m])) > 10
        and
        sum by ($BY, reason) (increase(switchboard_links_closed_total{{reason!~"{OWN}"}}[5m]))
          > on ($BY) group_left () 0.2 * max by ($BY) (switchboard_accounts_wanted)
        """,
        "Many accounts lost their connection: {{ $labels.reason }}",
        "{{ $value | humanize }} connections to WhatsApp ended within five minutes with the reason {{ $labels.reason }}: more than a fifth of all accounts. "
        "The reason tells whose doing it is: dropped is a network, logged_out and banned are WhatsApp, outdated is our client's version.",
        ("overview", 20),
        fires=[
            Case({ENDS % "banned": "0x5 50x10", WANTED: "100x30"}, "7m", {"reason": "banned"}),
            Case({ENDS % "dropped": "0x5 60x10", WANTED: "100x30"}, "7m", {"reason": "dropped"}),
        ],
        silent=[
            Case({ENDS % "dropped": "0x5 15x10", WANTED: "100x30"}, "7m", why="fewer than a fifth"),
            Case({ENDS % "requested": "0x5 90x10", WANTED: "100x30"}, "7m", why="a rollout closes them itself"),
            Case({ENDS % "dropped": "0x5 3x10", WANTED: "4x30"}, "7m", why="three of four accounts are no mass"),
        ],
    ),
    Alert(
        "ConnectionsReplaced", "ticket", "0m",
        "sum by ($BY) (increase(switchboard_links_closed_total{reason=\"replaced\"}[15m])) > 0",
        "WhatsApp closed a connection because a second one came",
        "{{ $value | humanize }} connections were replaced within a quarter of an hour. Either two workers connected one account, or somebody uses its credentials "
        "elsewhere (a restored copy of the database that still runs, for one).",
        ("overview", 20),
        fires=[Case({ENDS % "replaced": "0x5 1x20"}, "10m")],
        silent=[Case({ENDS % "replaced": "3x60", ENDS % "dropped": "0+1x60"}, "40m")],
    ),
    Alert(
        "SessionsUnstable", "ticket", "15m",
        "sum by ($BY) (switchboard_sessions_unstable) > 5",
        "Sessions restart again and again",
        "{{ $value | humanize }} sessions restarted five times in a row or more. `status_reason` of each account says how often and why.",
        ("accounts", 3),
        fires=[Case({'switchboard_sessions_unstable{instance="w1"}': "4x40", 'switchboard_sessions_unstable{instance="w2"}': "3x40"}, "20m")],
        silent=[Case({'switchboard_sessions_unstable{instance="w1"}': "2x40", 'switchboard_sessions_unstable{instance="w2"}': "3x40"}, "20m")],
    ),
    Alert(
        "CapacityLow", "ticket", "15m",
        "sum by ($BY) (switchboard_leases_held) / (max by ($BY) (switchboard_capacity) > 0) > 0.85",
        "Workers are more than 85 % full",
        "{{ $value | humanizePercentage }} of what live workers can hold is in use.",
        ("capacity", 1),
        fires=[Case({HELD: "90x30", "switchboard_capacity": "100x30"}, "20m")],
        silent=[Case({HELD: "80x30", "switchboard_capacity": "100x30"}, "20m"), Case({HELD: "80x30", "switchboard_capacity": "0x30"}, "20m", why="no worker is another alert's matter")],
    ),
    Alert(
        "CapacityExhausted", "page", "3m",
        "max by ($BY) (switchboard_accounts_wanted) > max by ($BY) (switchboard_capacity) > 0",
        "There are more accounts than the live workers can hold",
        "{{ $value | humanize }} accounts should be online; the live workers hold fewer at most. Those beyond stay offline.",
        ("capacity", 2),
        fires=[Case({WANTED: "120x30", "switchboard_capacity": "200x5 100x20"}, "10m")],
        silent=[Case({WANTED: "99x30", "switchboard_capacity": "200x5 100x20"}, "10m")],
    ),
    Alert(
        "TakeoverSlow", "ticket", "0m",
        """
        histogram_quantile(0.99, sum by ($BY, cause, le) (rate(switchboard_takeover_gap_seconds_bucket{cause="released"}[15m]))) > 15
        or
        histogram_quantile(0.99, sum by ($BY, cause, le) (rate(switchboard_takeover_gap_seconds_bucket{cause="silent"}[15m]))) > 60
        """,
        "Take-overs are slow: {{ $labels.cause }}",
        "One in a hundred accounts was without a socket for {{ $value | humanizeDuration }} or longer between two owners.",
        ("capacity", 11),
        fires=[
            Case({f'switchboard_takeover_gap_seconds_bucket{{cause="released",le="{le}"}}': values for le, values in [("15", "0x30"), ("60", "0+10x30"), ("+Inf", "0+10x30")]}, "20m", {"cause": "released"}),
            Case({f'switchboard_takeover_gap_seconds_bucket{{cause="silent",le="{le}"}}': values for le, values in [("60", "0x30"), ("300", "0+10x30"), ("+Inf", "0+10x30")]}, "20m", {"cause": "silent"}),
        ],
        silent=[
            Case({f'switchboard_takeover_gap_seconds_bucket{{cause="silent",le="{le}"}}': values for le, values in [("15", "0x30"), ("60", "0+10x30"), ("+Inf", "0+10x30")]}, "20m"),
            Case({f'switchboard_takeover_gap_seconds_bucket{{cause="released",le="{le}"}}': values for le, values in [("15", "5x30"), ("60", "9x30"), ("+Inf", "9x30")]}, "20m", why="none of late"),
        ],
    ),
    Alert(
        "WorkerNotTrusted", "page", "1m",
        "min by ($BY, instance) (switchboard_worker_trusted) == 0",
        "A worker lost its right to act",
        "{{ $labels.instance }} could renew its right neither at Redis nor at Postgres within two thirds of a lease's life. It has closed its connections.",
        ("capacity", 17),
        fires=[Case({'switchboard_worker_trusted{instance="w1"}': "1x5 0x10", 'switchboard_worker_trusted{instance="w2"}': "1x20"}, "8m", {"instance": "w1"})],
        silent=[Case({'switchboard_worker_trusted{instance="w1"}': "1x20", 'switchboard_worker_trusted{instance="w2"}': "1x20"}, "8m")],
    ),
    Alert(
        "RenewalSlow", "ticket", "10m",
        "histogram_quantile(0.99, sum by ($BY, store, le) (rate(switchboard_renewal_seconds_bucket[10m]))) > 2.5",
        "Renewing the right to act is slow at {{ $labels.store }}",
        "One in a hundred renewals takes {{ $value | humanizeDuration }} or longer; a worker gives its accounts up after 10 s without one.",
        ("internals", 10),
        fires=[Case({f'switchboard_renewal_seconds_bucket{{store="postgres",le="{le}"}}': values for le, values in [("2.5", "0x40"), ("5", "0+12x40"), ("+Inf", "0+12x40")]}, "30m", {"store": "postgres"})],
        silent=[Case({f'switchboard_renewal_seconds_bucket{{store="redis",le="{le}"}}': values for le, values in [("2.5", "0+12x40"), ("5", "0+12x40"), ("+Inf", "0+12x40")]}, "30m")],
    ),
]

THEME = Theme("ownership", "Owners and connections", ALERTS)
