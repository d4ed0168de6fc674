"""Alerts about our processes: down, unready, in a loop, on a wrong clock, or measured by nobody. R06.

`job=~".*switchboard.*"`: scrape configurations and monitors must name their jobs so; ours do (compose and chart).
"""

from .alerting import Alert, Case, Theme

UP = 'up{instance="%s",job="switchboard-worker"}'
READY = 'switchboard_ready{instance="%s",job="switchboard-api"}'
BUILD = 'switchboard_build_info{component="%s",instance="%s",version="%s"}'
ALL = {BUILD % (component, component, "1.0.0"): "1x90" for component in ("api", "worker", "scheduler")}
WAITS = 'kube_pod_container_status_waiting_reason{container="api",namespace="prod",pod="switchboard-api-1",reason="%s"}'


def absent(component):
    return f'absent(switchboard_build_info{{component="{component}"}})'


SPANS = 'switchboard_trace_spans_total{instance="w1",outcome="%s"}'

ALERTS = [
    Alert(
        "TargetDown", "page", "2m",
        'up{job=~".*switchboard.*"} == 0',
        "{{ $labels.job }} on {{ $labels.instance }} does not answer Prometheus",
        "It is not running, can't start (a secret is missing, a setting is bad: exit 64; keys don't fit the database: exit 78), hangs, or a NetworkPolicy is in the way.",
        ("capacity", 6),
        fires=[Case({UP % "w1": "1x5 0x20", UP % "w2": "1x30"}, "10m", {"instance": "w1", "job": "switchboard-worker"})],
        silent=[Case({UP % "w1": "1x5 0x1 1x20", 'up{instance="n1",job="node"}': "0x30"}, "10m", why="a restart; and somebody else's target")],
    ),
    Alert(
        "ScrapeAbsent", "page", "5m",
        f"""
        {absent("api")}
        or
        {absent("worker")}
        or
        {absent("scheduler")}
        or
        group by ($BY, component) (max_over_time(switchboard_build_info[1h])) unless group by ($BY, component) (switchboard_build_info)
        """,
        "No {{ $labels.component }} is measured",
        "Prometheus has no target that is a {{ $labels.component }}: none runs, service discovery finds none, or a monitor's labels don't fit.",
        ("capacity", 16),
        fires=[
            Case({series: values for series, values in ALL.items() if "scheduler" not in series}, "10m", {"component": "scheduler"}),
            Case({**ALL, 'switchboard_build_info{component="api",instance="a9",namespace="prod"}': "1x5 stale"}, "15m", {"component": "api", "namespace": "prod"}, why="in one of two installations"),
        ],
        silent=[Case(ALL, "30m")],
    ),
    Alert(
        "NotReady", "ticket", "5m",
        "min by ($BY, job, instance) (switchboard_ready) == 0",
        "{{ $labels.job }} on {{ $labels.instance }} is not ready",
        "It has answered 503 at /readyz for five minutes: a store is away, the schema is too old, or it is about to stop.",
        ("overview", 28),
        fires=[Case({READY % "a1": "0x20", READY % "a2": "1x20"}, "8m", {"instance": "a1", "job": "switchboard-api"})],
        silent=[Case({READY % "a1": "0x3 1x20", READY % "a2": "1x20"}, "8m", why="it was starting")],
    ),
    Alert(
        "NoneReady", "page", "2m",
        "max by ($BY, job) (switchboard_ready) == 0",
        "No {{ $labels.job }} is ready",
        "Each of them answers 503 at /readyz.",
        ("overview", 8),
        fires=[Case({READY % "a1": "0x20", READY % "a2": "0x20"}, "8m", {"job": "switchboard-api"})],
        silent=[Case({READY % "a1": "0x20", READY % "a2": "1x20"}, "8m", why="one is")],
    ),
    Alert(
        "RestartLoop", "page", "0m",
        """
        changes(process_start_time_seconds{job=~".*switchboard.*"}[15m]) >= 3
        or
        increase(kube_pod_container_status_restarts_total{pod=~".*switchboard.*"}[15m]) >= 3
        """,
        "A process restarts again and again: {{ $labels.instance }}{{ $labels.pod }}",
        "{{ $value | humanize }} restarts within a quarter of an hour.",
        ("capacity", 22),
        fires=[
            Case({'process_start_time_seconds{instance="w1",job="switchboard-worker"}': "1 1 1 180 180 360 360 360 600 600 600"}, "10m", {"instance": "w1", "job": "switchboard-worker"}),
            Case({'kube_pod_container_status_restarts_total{container="worker",pod="switchboard-worker-1"}': "0 0 1 2 3 4 4 5 6 6 7 7"}, "11m", {"container": "worker", "pod": "switchboard-worker-1"}),
        ],
        silent=[Case({'process_start_time_seconds{instance="w1",job="switchboard-worker"}': "1x5 300x40", 'process_start_time_seconds{instance="n1",job="node"}': "0+60x40"}, "20m", why="one restart is a deploy")],
    ),
    Alert(
        "PodCannotStart", "page", "2m",
        'max by ($BY, pod, container, reason) (kube_pod_container_status_waiting_reason{pod=~".*switchboard.*",reason=~"CreateContainerConfigError|CreateContainerError|CrashLoopBackOff|ErrImagePull|ImagePullBackOff|InvalidImageName|RunContainerError"}) > 0',
        "{{ $labels.pod }} can't start: {{ $labels.reason }}",
        "CreateContainerConfigError: a Secret or ConfigMap, or a key in it, is missing. CrashLoopBackOff: the process ends at once, its log says why (exit 64: a bad setting, 78: keys). "
        "ImagePullBackOff: no such image, or no right to it.",
        ("capacity", 28),
        fires=[
            Case({WAITS % "CreateContainerConfigError": "1x20"}, "5m", {"container": "api", "namespace": "prod", "pod": "switchboard-api-1", "reason": "CreateContainerConfigError"}, why="a missing secret"),
            Case({WAITS % "CrashLoopBackOff": "1x20"}, "5m", {"container": "api", "namespace": "prod", "pod": "switchboard-api-1", "reason": "CrashLoopBackOff"}, why="a bad setting"),
        ],
        silent=[Case({WAITS % "ContainerCreating": "1x20", WAITS % "CrashLoopBackOff": "0x20"}, "5m")],
    ),
    Alert(
        "ClockOff", "page", "2m",
        "max by ($BY, job, instance) (abs(switchboard_clock_offset_seconds)) > 1",
        "The clock of {{ $labels.instance }} is off",
        "It differs from Postgres's clock by {{ $value | humanizeDuration }}. Leases are counted by monotonic clocks and stay safe; times in answers, expiries and signatures of webhooks are wrong.",
        ("overview", 26),
        fires=[
            Case({'switchboard_clock_offset_seconds{instance="w1",job="switchboard-worker"}': "0x5 -40x20"}, "10m", {"instance": "w1", "job": "switchboard-worker"}),
            Case({'switchboard_clock_offset_seconds{instance="w1",job="switchboard-worker"}': "0x5 3x20"}, "10m", {"instance": "w1", "job": "switchboard-worker"}),
        ],
        silent=[Case({'switchboard_clock_offset_seconds{instance="w1",job="switchboard-worker"}': "0.2x20"}, "10m"), Case({'switchboard_clock_offset_seconds{instance="w1",job="switchboard-worker"}': "0x5 2 0x20"}, "10m", why="one slow ping")],
    ),
    Alert(
        "MeasuredStale", "page", "1m",
        "time() - max by ($BY) (switchboard_measured_timestamp_seconds) > 120",
        "The gauges about the whole cluster are old",
        "No scheduler could read them from Postgres for {{ $value | humanizeDuration }}: what dashboards say about accounts, workers and waiting rows is from then.",
        ("overview", 29),
        fires=[Case({"switchboard_measured_timestamp_seconds": "0+60x10 600x20"}, "15m")],
        silent=[Case({'switchboard_measured_timestamp_seconds{instance="s1"}': "60x40", 'switchboard_measured_timestamp_seconds{instance="s2"}': "0+60x40"}, "15m", why="one of two schedulers measures")],
    ),
    Alert(
        "VersionsMixed", "ticket", "1h",
        "count by ($BY, component) (count by ($BY, component, version) (switchboard_build_info)) > 1",
        "Two versions of the {{ $labels.component }} run beside each other",
        "{{ $value | humanize }} versions for more than an hour: a rollout got stuck.",
        ("capacity", 10),
        fires=[Case({BUILD % ("worker", "w1", "1.0.0"): "1x90", BUILD % ("worker", "w2", "1.1.0"): "1x90"}, "70m", {"component": "worker"})],
        silent=[Case({BUILD % ("worker", "w1", "1.0.0"): "1x20 stale", BUILD % ("worker", "w2", "1.1.0"): "1x90", BUILD % ("api", "a1", "1.0.0"): "1x90"}, "80m", why="twenty minutes of rollout; parts may differ")],
    ),
    Alert(
        "FilesNearLimit", "ticket", "10m",
        'process_open_fds{job=~".*switchboard.*"} / process_max_fds{job=~".*switchboard.*"} > 0.8',
        "{{ $labels.instance }} has nearly as many files open as it may",
        "{{ $value | humanizePercentage }} of the limit. A worker needs one socket per account.",
        ("capacity", 20),
        fires=[Case({'process_open_fds{instance="w1",job="switchboard-worker"}': "900x30", 'process_max_fds{instance="w1",job="switchboard-worker"}': "1024x30"}, "15m", {"instance": "w1", "job": "switchboard-worker"})],
        silent=[Case({'process_open_fds{instance="w1",job="switchboard-worker"}': "900x30", 'process_max_fds{instance="w1",job="switchboard-worker"}': "65536x30"}, "15m")],
    ),
    Alert(
        "RuntimeBusy", "ticket", "10m",
        """
        sum by ($BY, job, instance) (rate(switchboard_tokio_busy_seconds_total[5m]))
          / sum by ($BY, job, instance) (switchboard_tokio_workers) > 0.9
        """,
        "{{ $labels.job }} on {{ $labels.instance }} has no thread left",
        "Its runtime's threads are busy {{ $value | humanizePercentage }} of the time: it needs more CPU, or fewer accounts.",
        ("internals", 27),
        fires=[Case({'switchboard_tokio_busy_seconds_total{instance="w1",job="switchboard-worker"}': "0+114x30", 'switchboard_tokio_workers{instance="w1",job="switchboard-worker"}': "2x30"}, "20m", {"instance": "w1", "job": "switchboard-worker"})],
        silent=[Case({'switchboard_tokio_busy_seconds_total{instance="w1",job="switchboard-worker"}': "0+90x30", 'switchboard_tokio_workers{instance="w1",job="switchboard-worker"}': "2x30"}, "20m")],
    ),
    Alert(
        "TimersLate", "ticket", "10m",
        "histogram_quantile(0.99, sum by ($BY, job, instance, le) (rate(switchboard_tokio_timer_lag_seconds_bucket[5m]))) > 0.5",
        "Timers of {{ $labels.job }} on {{ $labels.instance }} fire late",
        "One in a hundred fires {{ $value | humanizeDuration }} late or more: the process gets no CPU (a limit that throttles it), or a task blocks its threads.",
        ("internals", 28),
        fires=[Case({f'switchboard_tokio_timer_lag_seconds_bucket{{instance="w1",job="switchboard-worker",le="{le}"}}': values for le, values in [("0.5", "0x30"), ("5", "0+60x30"), ("+Inf", "0+60x30")]}, "20m", {"instance": "w1", "job": "switchboard-worker"})],
        silent=[Case({f'switchboard_tokio_timer_lag_seconds_bucket{{instance="w1",job="switchboard-worker",le="{le}"}}': values for le, values in [("0.5", "0+60x30"), ("5", "0+60x30"), ("+Inf", "0+60x30")]}, "20m")],
    ),
    Alert(
        "TracesDropped", "ticket", "15m",
        """
        sum by ($BY) (rate(switchboard_trace_spans_total{outcome!="sent"}[10m]))
          / (sum by ($BY) (rate(switchboard_trace_spans_total[10m])) > 0) > 0.05
        """,
        "Traces do not reach their collector",
        "{{ $value | humanizePercentage }} of the spans that were to be exported are dropped. Messages are not touched; stories in the traces have holes.",
        ("internals", 33),
        fires=[Case({SPANS % "sent": "0+90x40", SPANS % "refused": "0+10x40"}, "30m"), Case({SPANS % "sent": "0x40", SPANS % "no_room": "0+10x40"}, "30m", why="none at all get through")],
        silent=[
            Case({SPANS % "sent": "0+99x40", SPANS % "no_room": "0+1x40"}, "30m"),
            Case({SPANS % "sent": "0x40", SPANS % "refused": "0x40"}, "30m", why="nobody traces"),
            Case({SPANS % "sent": "0+90x40", SPANS % "refused": "0+60x4 240x40"}, "30m", why="the collector was started anew"),
        ],
    ),
]

THEME = Theme("processes", "Processes", ALERTS)
