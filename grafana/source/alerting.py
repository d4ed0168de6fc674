"""What an alert is: its rule, its cases for promtool, the panel that shows it. R06.

`$BY` in an expression stands for the labels of an installation: cluster and namespace, both empty where there are none.
"""

from dataclasses import dataclass, field

INSTALLATION = "cluster, namespace"
#: Replaced by the chart's values; compose's Grafana listens there.
GRAFANA = "http://localhost:3000"
#: Replaced by the chart's values: wherever you keep these files for reading.
RUNBOOKS = "https://github.com/switchboard/switchboard/blob/main/grafana/runbooks"
PREFIX = "Switchboard"


@dataclass(frozen=True)
class Case:
    """Series a minute apart (`interval`) in promtool's notation, and the moment to look at. `labels`: of the alert that fires."""

    series: dict
    at: str
    labels: dict = field(default_factory=dict)
    interval: str = "1m"
    why: str = ""


@dataclass(frozen=True)
class Alert:
    """One alert. `name` without the prefix; `panel`: dashboard and number of the panel that shows it."""

    name: str
    severity: str  # page: somebody gets up; ticket: on the working day
    held: str
    expr: str
    summary: str
    description: str
    panel: tuple
    fires: list
    silent: list

    @property
    def full_name(self):
        return PREFIX + self.name


@dataclass(frozen=True)
class Record:
    """One recording rule."""

    name: str
    expr: str
    labels: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Theme:
    """One file of rules and one of tests. `pace`: how often promtool evaluates in the tests."""

    name: str
    title: str
    alerts: list
    records: list = field(default_factory=list)
    pace: str = "1m"
    merged: bool = False  # cases of the same name are one test, since each alert has series of its own
    more_tests: list = field(default_factory=list)
    every: str = ""  # how often the records are made; empty: as Prometheus is set


def where(severity):
    return {"page": "now", "ticket": "on the next working day"}[severity]


def expression(text):
    """Without the indentation of the source, and with the labels of an installation."""
    lines = [line.strip() if "\n" not in text else line for line in text.strip("\n").split("\n")]
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "\n".join(line[margin:].rstrip() for line in lines).strip().replace("$BY", INSTALLATION)


def rules(theme):
    """The file of rules, as objects for YAML."""
    groups = []
    if theme.records:
        head = {"name": f"switchboard-{theme.name}-records", **({"interval": theme.every} if theme.every else {})}
        groups.append({**head, "rules": [record(one) for one in theme.records]})
    if theme.alerts:
        groups.append({"name": f"switchboard-{theme.name}", "rules": [rule(one) for one in theme.alerts]})
    return {"groups": groups}


def record(one):
    found = {"record": one.name, "expr": expression(one.expr)}
    if one.labels:
        found["labels"] = one.labels
    return found


def rule(alert):
    dashboard, number = alert.panel
    return {
        "alert": alert.full_name,
        "expr": expression(alert.expr),
        "for": alert.held,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{RUNBOOKS}/{alert.full_name}.md",
            "dashboard_url": f"{GRAFANA}/d/switchboard-{dashboard}?viewPanel={number}",
        },
    }


def tests(theme):
    """The file of tests, as objects for YAML."""
    groups = []
    for alert in theme.alerts:
        groups += [group(alert, case, fires=True) for case in alert.fires]
        groups += [group(alert, case, fires=False) for case in alert.silent]
    groups = merged(groups) if theme.merged else groups
    return {
        "rule_files": [f"../rules/{theme.name}.yaml"],
        "evaluation_interval": theme.pace,
        **({"group_eval_order": [one["name"] for one in rules(theme)["groups"]]} if theme.records else {}),
        "tests": groups + theme.more_tests,
    }


def merged(groups):
    """Days of samples take promtool a while: it goes through them once for all alerts of the same story."""
    found = {}
    for one in groups:
        story = one["name"].split(" ", 1)[1]
        if story in found:
            found[story]["input_series"] += one["input_series"]
            found[story]["promql_expr_test"] += one["promql_expr_test"]
        else:
            found[story] = {**one, "name": f"Every objective {story}"}
    return list(found.values())


def group(alert, case, fires):
    """promtool writes the series ALERTS while it evaluates: asked for, it names the labels and not the texts."""
    selector = f'alertname="{alert.full_name}",alertstate="firing",severity="{alert.severity}"'
    labels = "".join(f',{name}="{value}"' for name, value in sorted(case.labels.items()))
    found = [{"labels": f"ALERTS{{{selector}{labels}}}", "value": 1}] if fires else []
    word = "fires" if fires else "is silent"
    return {
        "name": f"{alert.full_name} ({alert.severity}) {word}" + (f": {case.why}" if case.why else ""),
        "interval": case.interval,
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "promql_expr_test": [{"expr": f"ALERTS{{{selector}}}", "eval_time": case.at, "exp_samples": found}],
    }
