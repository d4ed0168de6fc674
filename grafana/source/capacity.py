"""Capacity and rollout: for the Kubernetes operator. Is there room, does a release go well, what grows? R06."""

from .schema import GREEN, RED, YELLOW, Dashboard, Panel, Query, Row, oldest, quantile, quantiles, rate, whole

JOB = 'job=~".*switchboard.*",$S'
HELD = "sum(switchboard_leases_held{$S})"
ROOM = whole("switchboard_capacity")

CAPACITY = Row(
    "Room",
    [
        Panel(
            1, "Capacity in use", "stat", "percentunit",
            "Accounts held, of what live workers hold at most.", "below 85 %, with room for the loss of one worker",
            [Query(f"{HELD} / ({ROOM} > 0)", "in use")],
            width=4, height=4, steps=((0.85, YELLOW), (0.95, RED)), decimals=0, high=1,
        ),
        Panel(
            2, "Room left", "stat", "none",
            "Accounts that could still be added.", "more than one worker's capacity",
            [Query(f"{ROOM} - {HELD}", "accounts")],
            width=4, height=4, base=RED, steps=((1, YELLOW), (50, GREEN)),
        ),
        Panel(
            3, "If the largest worker goes", "stat", "percentunit",
            "Capacity in use after the loss of the worker with the most room.", "below 100 %",
            [Query(f"{HELD} / ({ROOM} - max(switchboard_lease_capacity{{$S}}) > 0)", "in use")],
            width=4, height=4, steps=((0.9, YELLOW), (1, RED)), decimals=0,
        ),
        Panel(
            4, "Accounts", "stat", "none",
            "All accounts of all tenants, whatever their status.", "a number that you expect",
            [Query(f"sum({whole('switchboard_accounts', 'status')})", "accounts")],
            width=4, height=4,
        ),
        Panel(
            5, "Tenants", "stat", "none",
            "Tenants of this installation.", "a number that you expect",
            [Query(whole("switchboard_tenants"), "tenants")],
            width=4, height=4,
        ),
        Panel(
            6, "Targets that answer", "stat", "percentunit",
            "Processes that Prometheus can scrape, of those it knows.", "100 %",
            [Query(f"avg(up{{{JOB}}})", "up")],
            width=4, height=4, base=RED, steps=((0.5, YELLOW), (1, GREEN)), decimals=0, high=1,
        ),
        Panel(
            7, "Accounts held, by worker", "stack", "none",
            "Leases that each worker holds, stacked.", "equal bands; a smooth change during a rollout",
            [Query("sum by (instance) (switchboard_leases_held{$S})", "{{instance}}")],
            width=8,
        ),
        Panel(
            8, "Held less fair share, by worker", "line", "none",
            "How far each worker is from the number it should hold.", "within a tenth of the share, soon after any change",
            [Query("sum by (instance) (switchboard_leases_held{$S} - switchboard_placement_target{$S})", "{{instance}}")],
            width=8, low=None,
        ),
        Panel(
            9, "Workers, by state", "stack", "none",
            "Live, leaving (they stop and hand over) and silent (their heartbeat stopped and nobody said goodbye).",
            "live ones only; leaving during a rollout",
            [Query(whole("switchboard_workers", "state"), "{{state}}")],
            width=8,
        ),
    ],
)

ROLLOUT = Row(
    "Rollout and take-over",
    [
        Panel(
            10, "Processes, by version", "stack", "none",
            "Processes that run, by part and version. A deploy shows as one band that replaces another.",
            "one version of each part, two for minutes",
            [Query("count by (component, version) (switchboard_build_info{$S})", "{{component}} {{version}}")],
        ),
        Panel(
            11, "Take-over: time without a socket", "line", "s",
            "From the last owner's end (released, or the last heartbeat of a silent one) to the next owner's login.",
            "released below 2 s, silent below 20 s",
            quantiles("switchboard_takeover_gap_seconds", "cause", shares=(0.5, 0.99)), steps=((60, RED),),
        ),
        Panel(
            12, "Claims, by outcome", "stack", "ops",
            "Attempts to become the owner of an account.", "claimed, with few others",
            [Query(rate("switchboard_claims_total", "outcome"), "{{outcome}}")],
        ),
        Panel(
            13, "Handed over for balance", "line", "ops",
            "Sessions per second that a worker gives away because others hold fewer.",
            "zero, a short hump after a worker came",
            [Query(rate("switchboard_sessions_shed_total", "instance"), "{{instance}}")],
        ),
        Panel(
            14, "Connects allowed", "stack", "ops",
            "Connects per second that the limiter let through, by who counted: the cluster, or a worker alone.",
            "below CONNECTS_PER_S, counted by the cluster",
            [Query(rate("switchboard_connects_total", "counted"), "{{counted}}")],
        ),
        Panel(
            15, "Wait for the connect limiter", "line", "s",
            "How long sessions that come back wait for their turn.", "near zero; seconds after an outage",
            quantiles("switchboard_connect_wait_seconds"), steps=((60, RED),),
        ),
        Panel(
            16, "What runs", "table", "none",
            "Each process with part, version and revision.", "one version of each part",
            [Query("sum by (component, version, revision, instance) (switchboard_build_info{$S})", "{{instance}}", table=True)],
            width=12, hidden=("Value",),
        ),
        Panel(
            17, "Right to act, by worker", "line", "none",
            "One while a worker may act for its accounts: it renewed its right at Redis or Postgres in time.",
            "every line at one",
            [Query("switchboard_worker_trusted{$S}", "{{instance}}")],
            width=12, high=1,
        ),
    ],
)

PROCESSES = Row(
    "Processes",
    [
        Panel(
            18, "CPU", "line", "none",
            "Cores that each process uses.", "below its request, with peaks at rollouts",
            [Query(f"rate(process_cpu_seconds_total{{{JOB}}}[$__rate_interval])", "{{job}} {{instance}}")],
        ),
        Panel(
            19, "Memory", "line", "bytes",
            "Resident memory of each process.", "flat; for workers about even with the accounts held",
            [Query(f"process_resident_memory_bytes{{{JOB}}}", "{{job}} {{instance}}")],
        ),
        Panel(
            20, "Open files", "line", "percentunit",
            "Files and sockets that each process has open, of its limit.", "below half",
            [Query(f"process_open_fds{{{JOB}}} / process_max_fds{{{JOB}}}", "{{job}} {{instance}}")], steps=((0.8, RED),),
        ),
        Panel(
            21, "Uptime", "line", "s",
            "Time since each process started. A tooth is a restart.", "long ramps; teeth at deploys only",
            [Query(f"time() - process_start_time_seconds{{{JOB}}}", "{{job}} {{instance}}")],
        ),
        Panel(
            22, "Restarts within 15 minutes", "bars", "none",
            "Restarts that Prometheus saw, by process.", "none outside of deploys",
            [Query(f"changes(process_start_time_seconds{{{JOB}}}[15m])", "{{job}} {{instance}}")], steps=((3, RED),),
        ),
        Panel(
            23, "Memory per account", "line", "bytes",
            "Resident memory of all workers by accounts held: the figure to plan with.", "flat",
            [
                Query(
                    'sum(process_resident_memory_bytes{job=~".*switchboard.*",$S} and on (instance) switchboard_leases_held{$S}) '
                    f"/ ({HELD} > 0)",
                    "per account",
                )
            ],
        ),
    ],
    collapsed=True,
)

KUBERNETES = Row(
    "Kubernetes (with kube-state-metrics)",
    [
        Panel(
            24, "Replicas: wanted and ready", "line", "none",
            "Replicas of each Deployment of Switchboard.", "ready equal to wanted",
            [
                Query('kube_deployment_spec_replicas{deployment=~".*switchboard.*",$S}', "{{deployment}} wanted"),
                Query('kube_deployment_status_replicas_ready{deployment=~".*switchboard.*",$S}', "{{deployment}} ready"),
            ],
        ),
        Panel(
            25, "Autoscaler: wanted and most", "line", "none",
            "What HPA or KEDA asks for, and what it may ask for.", "wanted below most",
            [
                Query(
                    'kube_horizontalpodautoscaler_status_desired_replicas{horizontalpodautoscaler=~".*switchboard.*",$S}',
                    "{{horizontalpodautoscaler}} wanted",
                ),
                Query(
                    'kube_horizontalpodautoscaler_spec_max_replicas{horizontalpodautoscaler=~".*switchboard.*",$S}',
                    "{{horizontalpodautoscaler}} most",
                ),
            ],
        ),
        Panel(
            26, "Disruptions allowed", "line", "none",
            "Pods that may be evicted now, by PodDisruptionBudget. At zero a drain waits.", "one or more",
            [
                Query(
                    'kube_poddisruptionbudget_status_pod_disruptions_allowed{poddisruptionbudget=~".*switchboard.*",$S}',
                    "{{poddisruptionbudget}}",
                )
            ],
        ),
        Panel(
            27, "Container restarts within an hour", "bars", "none",
            "Restarts that Kubernetes counted, by pod.", "none",
            [
                Query(
                    'increase(kube_pod_container_status_restarts_total{pod=~".*switchboard.*",$S}[1h]) > 0', "{{pod}}"
                )
            ],
            width=12,
        ),
        Panel(
            28, "Containers that wait, by reason", "bars", "none",
            "CrashLoopBackOff: it can't start, see its log. CreateContainerConfigError: a Secret or a key of it is missing. "
            "ImagePullBackOff: no such image.",
            "none",
            [
                Query(
                    'sum by (pod, reason) (kube_pod_container_status_waiting_reason{pod=~".*switchboard.*",$S}) > 0',
                    "{{pod}} {{reason}}",
                )
            ],
            width=12,
        ),
    ],
    collapsed=True,
)

STORAGE = Row(
    "Storage and queues",
    [
        Panel(
            29, "Size of tables", "stack", "bytes",
            "Table, indexes and toast of each table.", "slow growth that retention ends",
            [Query(whole("switchboard_table_bytes", "table"), "{{table}}")],
        ),
        Panel(
            30, "Growth per day", "line", "bytes",
            "Growth of all tables, extrapolated from the last hour.", "what you planned the disk for",
            [Query(f"86400 * deriv(sum({whole('switchboard_table_bytes', 'table')})[1h:1m])", "per day")], low=None,
        ),
        Panel(
            31, "Jobs in shared queues", "line", "none",
            "Bells that lie in Redis, by queue.", "near zero",
            [Query(oldest("switchboard_queue_jobs", "queue"), "{{queue}}")],
        ),
        Panel(
            32, "Postgres connections, of the pools' limits", "line", "percentunit",
            "Connections in use of what each pool may open.", "below 80 %",
            [
                Query(
                    'sum by (job, pool) (switchboard_postgres_connections{state="in_use",$S}) '
                    "/ sum by (job, pool) (switchboard_postgres_connections_max{$S})",
                    "{{job}} {{pool}}",
                )
            ],
            high=1, steps=((0.9, RED),),
        ),
        Panel(
            33, "Postgres connections opened by us", "stack", "none",
            "All connections of all processes: keep it below the server's max_connections.", "flat",
            [Query("sum by (job, state) (switchboard_postgres_connections{$S})", "{{job}} {{state}}")],
        ),
        Panel(
            34, "Wait for a Postgres connection", "line", "s",
            "From asking a pool to the answer of a ping.", "p99 below 50 ms",
            [Query(quantile(0.99, "switchboard_postgres_wait_seconds", "job"), "p99 {{job}}")], steps=((0.5, RED),),
        ),
    ],
    collapsed=True,
)

DASHBOARD = Dashboard(
    "capacity", "Capacity and rollout", "For the Kubernetes operator: is there room, does a release go well, what grows",
    [CAPACITY, ROLLOUT, PROCESSES, KUBERNETES, STORAGE],
)
