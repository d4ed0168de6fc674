"""The six objectives: one table, from which records, alerts and their cases follow. R06.

Each objective has two series a second: what was bad, and all of it. Every window is an average of these two, so that one rule
per window serves all objectives. A share without traffic is absent, and an alert wants a minimum of traffic in its long window.
"""

from dataclasses import dataclass

from .alerting import Alert, Case, Record, Theme

#: (long window, short window, burn rate, severity): after the SRE workbook, as kubernetes-mixin has them.
WINDOWS = [("1h", "5m", 14.4, "page"), ("6h", "30m", 6, "page"), ("1d", "2h", 3, "ticket"), ("3d", "6h", 1, "ticket")]
SHARES = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
HELD = {"page": "2m", "ticket": "15m"}


@dataclass(frozen=True)
class Objective:
    """`least`: events per hour below which the objective raises no alert. `bad` and `all`: per second."""

    slo: str
    alert: str
    title: str
    target: float
    least: int
    unit: str
    bad: str
    all: str
    panel: tuple
    #: From phases (share that is bad, samples) and events per minute to a case's series for promtool.
    series: callable


def histogram(name, bucket, labels="", more=None):
    """Cumulative buckets of a histogram, as series of a case."""

    def series(phases, per_minute):
        inner = f"{labels}," if labels else ""
        found = {
            f'{name}_bucket{{{inner}le="{bucket}"}}': ramp((per_minute * (1 - bad), steps) for bad, steps in phases),
            f"{name}_count{{{labels}}}" if labels else f"{name}_count": ramp((per_minute, steps) for _, steps in phases),
        }
        return {**found, **(more or {})}

    return series


def counters(good, bad):
    """Two counters, as series of a case."""

    def series(phases, per_minute):
        return {
            good: ramp((per_minute * (1 - share), steps) for share, steps in phases),
            bad: ramp((per_minute * share, steps) for share, steps in phases),
        }

    return series


def gauges(wanted, online):
    """Two gauges, as series of a case."""

    def series(phases, per_minute):
        return {
            wanted: " ".join(f"{per_minute:g}x{steps - 1}" for _, steps in phases),
            online: " ".join(f"{per_minute * (1 - share):g}x{steps - 1}" for share, steps in phases),
        }

    return series


#: A short case, in samples five minutes apart; a window that is longer averages what is there.
LENGTH, END = 200, "16h"
#: A case that is longer than every window.
LONG, LONG_END = 920, "3d4h"


def ramp(phases):
    """A counter that rises by these amounts a minute, each for so many samples."""
    parts, value = [], 0.0
    for rate, steps in phases:
        parts.append(f"{value:g}+{rate * 5:g}x{steps - 1}")
        value += rate * 5 * steps
    return " ".join(parts)


LATE = "le=~\"%s([.]0)?\""

OBJECTIVES = [
    Objective(
        "api", "ApiErrorBudgetBurn", "Requests that do not end with 5xx", 0.999, 1000, "requests",
        'sum by ($BY) (rate(switchboard_http_requests_total{code="5xx"}[5m])) or 0 * sum by ($BY) (rate(switchboard_http_requests_total[5m]))',
        "sum by ($BY) (rate(switchboard_http_requests_total[5m]))",
        ("overview", 16),
        counters('switchboard_http_requests_total{code="2xx"}', 'switchboard_http_requests_total{code="5xx"}'),
    ),
    Objective(
        "sends", "SendErrorBudgetBurn", "Accepted messages that reach WhatsApp's acknowledgement", 0.995, 200, "messages",
        'sum by ($BY) (rate(switchboard_messages_total{outcome="failed"}[5m])) or 0 * sum by ($BY) (rate(switchboard_messages_total[5m]))',
        'sum by ($BY) (rate(switchboard_messages_total{outcome=~"sent|failed"}[5m]))',
        ("overview", 13),
        counters('switchboard_messages_total{outcome="sent"}', 'switchboard_messages_total{outcome="failed"}'),
    ),
    Objective(
        "latency", "SendLatencyBudgetBurn", "Straight sends that are acknowledged within 5 s", 0.99, 100, "messages",
        'sum by ($BY) (rate(switchboard_message_end_to_end_seconds_count{path="straight"}[5m])) '
        f'- sum by ($BY) (rate(switchboard_message_end_to_end_seconds_bucket{{path="straight",{LATE % 5}}}[5m]))',
        'sum by ($BY) (rate(switchboard_message_end_to_end_seconds_count{path="straight"}[5m]))',
        ("overview", 14),
        histogram("switchboard_message_end_to_end_seconds", 5, 'path="straight"'),
    ),
    Objective(
        "accounts", "AccountBudgetBurn", "Time in which accounts that should be online are", 0.995, 20, "accounts",
        "max by ($BY) (switchboard_accounts_wanted) - max by ($BY) (switchboard_accounts_online)",
        "max by ($BY) (switchboard_accounts_wanted)",
        ("overview", 19),
        gauges("switchboard_accounts_wanted", "switchboard_accounts_online"),
    ),
    Objective(
        "webhooks", "WebhookBudgetBurn", "Webhook deliveries with a 2xx within 60 s", 0.99, 100, "deliveries",
        'sum by ($BY) (rate(switchboard_webhook_delivery_seconds_count[5m])) + sum by ($BY) (rate(switchboard_webhook_attempts_total{outcome="failed"}[5m])) '
        f"- sum by ($BY) (rate(switchboard_webhook_delivery_seconds_bucket{{{LATE % 60}}}[5m]))",
        'sum by ($BY) (rate(switchboard_webhook_delivery_seconds_count[5m])) + sum by ($BY) (rate(switchboard_webhook_attempts_total{outcome="failed"}[5m]))',
        ("accounts", 21),
        histogram(
            "switchboard_webhook_delivery_seconds", 60, "",
            {'switchboard_webhook_attempts_total{outcome="failed"}': f"0x{LONG}"},
        ),
    ),
    Objective(
        "reminders", "ReminderBudgetBurn", "Occurrences that fire within 5 s of their time", 0.99, 30, "occurrences",
        "sum by ($BY) (rate(switchboard_occurrence_lateness_seconds_count[5m])) "
        f"- sum by ($BY) (rate(switchboard_occurrence_lateness_seconds_bucket{{{LATE % 5}}}[5m]))",
        "sum by ($BY) (rate(switchboard_occurrence_lateness_seconds_count[5m]))",
        ("overview", 18),
        histogram("switchboard_occurrence_lateness_seconds", 5),
    ),
]


def records():
    found = [Record("switchboard:slo:objective", f"vector({one.target})", {"slo": one.slo}) for one in OBJECTIVES]
    for one in OBJECTIVES:
        found.append(Record("switchboard:slo_bad:rate5m", one.bad, {"slo": one.slo}))
        found.append(Record("switchboard:slo_all:rate5m", one.all, {"slo": one.slo}))
    return found + [share(window) for window in SHARES]


def share(window):
    """What was bad of all, over a window."""
    bad, all_of_it = (f"avg_over_time(switchboard:slo_{what}:rate5m[{window}])" for what in ("bad", "all"))
    if window == "5m":  # already a rate over five minutes
        bad, all_of_it = "switchboard:slo_bad:rate5m", "switchboard:slo_all:rate5m"
    return Record(f"switchboard:slo_errors:ratio{window}", f"{bad}\n/\n({all_of_it} > 0)")


def alert(one, severity):
    pairs = [window for window in WINDOWS if window[3] == severity]
    per_second = 1 if one.unit == "accounts" else 3600
    parts = [
        f'(\n  switchboard:slo_errors:ratio{long}{{slo="{one.slo}"}} > {rate} * {budget(one)}\n'
        f'  and switchboard:slo_errors:ratio{short}{{slo="{one.slo}"}} > {rate} * {budget(one)}\n'
        f'  and {f"{per_second} * " if per_second > 1 else ""}avg_over_time(switchboard:slo_all:rate5m{{slo="{one.slo}"}}[{long}]) >= {one.least}\n)'
        for long, short, rate, _ in pairs
    ]
    fast, slow = pairs
    return Alert(
        one.alert, severity, HELD[severity], "\nor\n".join(parts),
        f"The error budget burns {'fast' if severity == 'page' else 'steadily'}: {one.title.lower()}",
        f"{one.title}: the objective is {one.target:.1%} over 30 days. {{{{ $value | humanizePercentage }}}} were bad in the long window; "
        f"the budget burns {fast[2]} times too fast over {fast[0]} or {slow[2]} times over {slow[0]}.",
        one.panel,
        fires=[
            Case(series(one, first(one, severity)), END, {"slo": one.slo}, "5m", f"{fast[0]} and {fast[1]}"),
            Case(series(one, steady(one, slow[2] * 1.2)), END, {"slo": one.slo}, "5m", f"{slow[0]} and {slow[1]}"),
            *([Case(series(one, [(burn(one, 1.2), LONG)]), LONG_END, {"slo": one.slo}, "5m", "slowly, for three days")] if severity == "ticket" else []),
        ],
        silent=[
            Case(series(one, steady(one, slow[2] * 0.8)), END, {}, "5m", "the budget burns more slowly"),
            Case(series(one, over(one, severity)), END, {}, "5m", "it was bad, and is over"),
            Case(series(one, [(0.9, LENGTH)], scarce=True), END, {}, "5m", "nearly all is bad, with less traffic than the minimum"),
            Case(series(one, [(0.0, LENGTH)], none=True), END, {}, "5m", "no traffic at all"),
            *([Case(series(one, one_bad_day(one)), LONG_END, {}, "5m", "one bad day after two good ones")] if severity == "ticket" else []),
        ],
    )


def steady(one, rate):
    return [(burn(one, rate), LENGTH)]


def first(one, severity):
    """A page: 20 times too fast for the last hour alone, too short for the window of six hours. A ticket: steadily fast."""
    if severity == "ticket":
        return steady(one, 3 * 1.2)
    hour = 22  # samples, of which 7 come after END
    return [(0.0, LENGTH - hour), (burn(one, 20), hour)]


def over(one, severity):
    """Bad until a while ago: the long window still says so, the short one does not."""
    samples = {"page": 20, "ticket": 90}[severity]
    return [(burn(one, 20 if severity == "page" else 2.9), LENGTH - samples), (0.0, samples)]


def one_bad_day(one):
    """More than the budget in the last day and less than it in three."""
    return [(burn(one, 0.4), LONG - 296), (burn(one, 1.8), 296)]


def burn(one, rate):
    return min(rate * (1 - one.target), 1)


def series(one, shares, scarce=False, none=False):
    per_minute = 0 if none else (one.least / 60 / 2 if scarce else one.least / 60 * 10)
    if one.unit == "accounts":
        per_minute = 0 if none else (one.least / 2 if scarce else one.least * 10)
    return one.series(shares, per_minute)


def budget(one):
    return f"{1 - one.target:.3g}"


def absent_without_traffic():
    """Tests of the records: a share without traffic is absent, with traffic and no error it is zero."""
    shares = {'switchboard_http_requests_total{code="2xx"}': "0+600x100", 'switchboard_http_requests_total{code="5xx"}': "0x100"}
    quiet = {'switchboard_messages_total{outcome="sent"}': "7x100", 'switchboard_messages_total{outcome="failed"}': "3x100"}
    alone = {'switchboard_http_requests_total{code="2xx",namespace="prod"}': "0+600x100"}
    return [
        {
            "name": "Shares: zero with traffic and no error, absent without traffic",
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in {**shares, **quiet}.items()],
            "promql_expr_test": [
                {
                    "expr": "switchboard:slo_errors:ratio1h",
                    "eval_time": "90m",
                    "exp_samples": [{"labels": 'switchboard:slo_errors:ratio1h{slo="api"}', "value": 0}],
                }
            ],
        },
        {
            "name": "Shares: zero also where the series of errors is missing, per installation",
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in alone.items()],
            "promql_expr_test": [
                {
                    "expr": "switchboard:slo_errors:ratio1h",
                    "eval_time": "90m",
                    "exp_samples": [{"labels": 'switchboard:slo_errors:ratio1h{namespace="prod",slo="api"}', "value": 0}],
                }
            ],
        },
    ]


def month():
    """Tests of the share over 30 days, from the two series that it is made of."""
    given = {'switchboard:slo_bad:rate5m{slo="api"}': "1x60", 'switchboard:slo_all:rate5m{slo="api"}': "500x60"}
    quiet = {'switchboard:slo_bad:rate5m{slo="sends"}': "0x60", 'switchboard:slo_all:rate5m{slo="sends"}': "0x60"}
    expected = {"labels": 'switchboard:slo_errors:ratio30d{slo="api"}', "value": 0.002}
    return [
        {
            "name": "The share over 30 days, absent without traffic",
            "interval": "12h",
            "input_series": [{"series": name, "values": values} for name, values in {**given, **quiet}.items()],
            "promql_expr_test": [
                {"expr": "switchboard:slo_errors:ratio30d", "eval_time": "29d", "exp_samples": [expected]}
            ],
        }
    ]


MONTH = Theme("budget", "Error budgets", [], [share("30d")], pace="12h", more_tests=month(), every="5m")
THEME = Theme(
    "slo", "Objectives",
    [alert(one, severity) for one in OBJECTIVES for severity in ("page", "ticket")],
    records(), pace="15m", merged=True, more_tests=absent_without_traffic(),
)
