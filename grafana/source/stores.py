"""Alerts about Postgres, its schema, and Redis: unreachable, refused, read-only, full, slow. R06."""

from .alerting import Alert, Case, Theme

PG = 'switchboard_postgres_errors_total{kind="%s"}'
RD = 'switchboard_redis_errors_total{kind="%s",user="%s"}'
POSTGRES, REDIS = ("overview", 22), ("overview", 24)


def postgres_errors(kind, window="5m", more_than=0):
    return f'sum by ($BY) (increase(switchboard_postgres_errors_total{{kind=~"{kind}"}}[{window}])) > {more_than}'


def redis_errors(kind, window="5m", more_than=0):
    return f'sum by ($BY) (increase(switchboard_redis_errors_total{{kind=~"{kind}"}}[{window}])) > {more_than}'


def refused(name, kind, summary, description):
    """One refusal of Postgres is enough: what it means does not pass by itself."""
    return Alert(
        name, "page", "1m", postgres_errors(kind), summary, description, POSTGRES,
        fires=[Case({PG % kind: "0x5 1+2x20"}, "12m")],
        silent=[Case({PG % kind: "7x40", PG % "constraint": "0+5x40"}, "30m", why="it is over; constraints are tenants' doing")],
    )


def slow(metric, bound, fast, late):
    """Buckets around a bound: everything above it, or everything below."""
    return {f'{metric}_bucket{{job="switchboard-worker",le="{le}"}}': values for le, values in [(str(bound), fast), (str(bound * 10), late), ("+Inf", late)]}


POSTGRES_ALERTS = [
    Alert(
        "PostgresUnreachable", "page", "1m",
        postgres_errors("unreachable|timeout", "2m", 3),
        "Postgres can't be reached",
        "{{ $value | humanize }} questions to Postgres found no server or no answer within two minutes. Requests answer 503; workers keep their connections while "
        "Redis renews their right; nothing is lost.",
        POSTGRES,
        fires=[Case({PG % "unreachable": "0x5 0+10x20"}, "10m"), Case({PG % "timeout": "0x5 0+10x20"}, "10m")],
        silent=[Case({PG % "unreachable": "0x5 2x20"}, "7m", why="a connection that broke"), Case({PG % "unreachable": "90x40"}, "30m")],
    ),
    refused(
        "PostgresPasswordRefused", "auth", "Postgres refuses our password",
        "{{ $value | humanize }} log-ins were refused within five minutes. Processes that run keep their open connections for a while; those that start stay unready.",
    ),
    refused(
        "PostgresPermissionDenied", "permission", "Postgres denies us a table",
        "{{ $value | humanize }} questions were refused for lack of permission: migrations ran as another role, or a GRANT is missing.",
    ),
    refused(
        "PostgresReadOnly", "read_only", "Postgres is read-only",
        "{{ $value | humanize }} writes were refused: we talk to a standby after a fail-over, or somebody set it read-only. Nothing new is accepted.",
    ),
    refused(
        "PostgresDiskFull", "disk_full", "Postgres has no disk left",
        "{{ $value | humanize }} writes failed for lack of disk. What was answered with 2xx is there; nothing new is accepted.",
    ),
    refused(
        "PostgresTooManyConnections", "too_many_connections", "Postgres has no connection left for us",
        "{{ $value | humanize }} connections were refused: the pools of all processes together want more than max_connections.",
    ),
    Alert(
        "PostgresPoolSaturated", "ticket", "10m",
        """
        sum by ($BY, job, pool) (switchboard_postgres_connections{state="in_use"})
          / (sum by ($BY, job, pool) (switchboard_postgres_connections_max) > 0) > 0.9
        or
        0 * sum by ($BY, job, pool) (switchboard_postgres_connections_max)
          + on ($BY) group_left () (sum by ($BY) (increase(switchboard_postgres_errors_total{kind="pool_timeout"}[10m])) > 5)
        """,
        "A pool of Postgres connections is used up: {{ $labels.job }} {{ $labels.pool }}",
        "Nine in ten connections are in use, or questions gave up waiting for one ({{ $value | humanize }}).",
        ("capacity", 32),
        fires=[
            Case({'switchboard_postgres_connections{job="switchboard-api",pool="rows",state="in_use"}': "10x40", 'switchboard_postgres_connections_max{job="switchboard-api",pool="rows"}': "10x40"}, "20m", {"job": "switchboard-api", "pool": "rows"}),
            Case({'switchboard_postgres_connections{job="switchboard-api",pool="rows",state="in_use"}': "5x40", 'switchboard_postgres_connections_max{job="switchboard-api",pool="rows"}': "10x40", PG % "pool_timeout": "0+3x40"}, "25m", {"job": "switchboard-api", "pool": "rows"}),
        ],
        silent=[Case({'switchboard_postgres_connections{job="switchboard-api",pool="rows",state="in_use"}': "8x40", 'switchboard_postgres_connections{job="switchboard-api",pool="rows",state="idle"}': "2x40", 'switchboard_postgres_connections_max{job="switchboard-api",pool="rows"}': "10x40", PG % "pool_timeout": "3x40"}, "20m")],
    ),
    Alert(
        "PostgresSlow", "ticket", "10m",
        "histogram_quantile(0.99, sum by ($BY, job, le) (rate(switchboard_postgres_wait_seconds_bucket[5m]))) > 0.5",
        "Postgres answers slowly: {{ $labels.job }}",
        "One in a hundred sampled pings, with the wait for a connection, takes {{ $value | humanizeDuration }} or longer.",
        ("overview", 23),
        fires=[Case(slow("switchboard_postgres_wait_seconds", 0.5, "0x40", "0+12x40"), "25m", {"job": "switchboard-worker"})],
        silent=[Case(slow("switchboard_postgres_wait_seconds", 0.5, "0+12x40", "0+12x40"), "25m")],
    ),
    Alert(
        "PostgresErrors", "ticket", "0m",
        'sum by ($BY, kind) (increase(switchboard_postgres_errors_total{kind=~"other|deadlock|schema"}[15m])) > 5',
        "Questions to Postgres fail: {{ $labels.kind }}",
        "{{ $value | humanize }} questions failed within a quarter of an hour; the log of the process names each once.",
        POSTGRES,
        fires=[Case({PG % "schema": "0+1x40"}, "30m", {"kind": "schema"})],
        silent=[Case({PG % "deadlock": "0x5 2x40", PG % "constraint": "0+9x40"}, "18m")],
    ),
    Alert(
        "SchemaPending", "page", "5m",
        'max by ($BY) (switchboard_schema_migrations{state="pending"}) > 0',
        "The database's schema is older than the binaries",
        "{{ $value | humanize }} migrations have not been carried out. New processes stay unready until they are.",
        ("overview", 27),
        fires=[Case({'switchboard_schema_migrations{instance="a1",state="pending"}': "0x5 2x20"}, "12m")],
        silent=[Case({'switchboard_schema_migrations{instance="a1",state="pending"}': "0x5 2x2 0x20"}, "12m", why="a migration that took three minutes"), Case({'switchboard_schema_migrations{instance="a1",state="unknown"}': "2x20", 'switchboard_schema_migrations{instance="a1",state="pending"}': "0x20"}, "12m")],
    ),
    Alert(
        "SchemaNewer", "ticket", "30m",
        'max by ($BY) (switchboard_schema_migrations{state="unknown"}) > 0',
        "The database's schema is newer than some binary",
        "Some process does not know {{ $value | humanize }} migrations that were carried out: a rollout that got stuck, or was rolled back. The release before a schema runs on it, older ones need not.",
        ("overview", 27),
        fires=[Case({'switchboard_schema_migrations{instance="a1",state="unknown"}': "1x60"}, "40m")],
        silent=[Case({'switchboard_schema_migrations{instance="a1",state="unknown"}': "0x5 1x10 0x60"}, "40m", why="a rollout of ten minutes")],
    ),
]

REDIS_ALERTS = [
    Alert(
        "RedisUnreachable", "page", "2m",
        redis_errors("unreachable|timeout", "2m", 3),
        "Redis can't be reached",
        "{{ $value | humanize }} questions to Redis found no server or no answer within two minutes. Nothing is lost and accounts stay online, but bells are late by seconds and "
        "no account can be taken over.",
        REDIS,
        fires=[Case({RD % ("unreachable", "lease"): "0x5 0+10x20"}, "10m")],
        silent=[Case({RD % ("unreachable", "bus"): "0x5 2x20"}, "8m", why="a restart"), Case({RD % ("timeout", "lease"): "50x40"}, "30m")],
    ),
    Alert(
        "RedisPasswordRefused", "page", "1m", redis_errors("auth"),
        "Redis refuses our password",
        "{{ $value | humanize }} questions were refused for lack of authentication or permission (NOAUTH, WRONGPASS, NOPERM).",
        REDIS,
        fires=[Case({RD % ("auth", "lease"): "0x5 1+1x20"}, "10m")],
        silent=[Case({RD % ("auth", "lease"): "4x40"}, "30m")],
    ),
    Alert(
        "RedisReadOnly", "page", "1m", redis_errors("read_only"),
        "Redis is read-only",
        "{{ $value | humanize }} writes were refused: we talk to a replica after a fail-over. Leases can't be renewed there; workers live on their heartbeat in Postgres.",
        REDIS,
        fires=[Case({RD % ("read_only", "lease"): "0x5 1+1x20"}, "10m")],
        silent=[Case({RD % ("read_only", "lease"): "4x40"}, "30m")],
    ),
    Alert(
        "RedisOutOfMemory", "page", "1m", redis_errors("out_of_memory"),
        "Redis is out of memory",
        "{{ $value | humanize }} writes were refused. Bells are late by seconds and leases can't be renewed there; nothing is lost.",
        REDIS,
        fires=[Case({RD % ("out_of_memory", "doorbell"): "0x5 1+1x20"}, "10m")],
        silent=[Case({RD % ("out_of_memory", "doorbell"): "4x40"}, "30m")],
    ),
    Alert(
        "RedisSlow", "ticket", "10m",
        "histogram_quantile(0.99, sum by ($BY, job, le) (rate(switchboard_redis_ping_seconds_bucket[5m]))) > 0.1",
        "Redis answers slowly: {{ $labels.job }}",
        "One in a hundred sampled pings takes {{ $value | humanizeDuration }} or longer.",
        ("overview", 25),
        fires=[Case(slow("switchboard_redis_ping_seconds", 0.1, "0x40", "0+12x40"), "25m", {"job": "switchboard-worker"})],
        silent=[Case(slow("switchboard_redis_ping_seconds", 0.1, "0+12x40", "0+12x40"), "25m")],
    ),
]

POSTGRES_THEME = Theme("postgres", "Postgres and its schema", POSTGRES_ALERTS)
REDIS_THEME = Theme("redis", "Redis", REDIS_ALERTS)
