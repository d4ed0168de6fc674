"""Every query of panels, rules and runbooks, asked of a real Prometheus; what is empty must stand in `empty.yaml`. R06."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
GRAFANA = HERE.parent
#: As Grafana would work it out for scrapes a second apart, a bit longer for calmer lines.
VALUES = {"$__rate_interval": "15s", "$cluster": ".*", "$namespace": ".*"}


@dataclass
class Found:
    """What came of it: series by (dashboard, panel, target), and what was wrong."""

    asked: int = 0
    errors: list = field(default_factory=list)
    empty: dict = field(default_factory=dict)
    series: dict = field(default_factory=dict)


def filled(expression):
    for name, value in VALUES.items():
        expression = expression.replace(name, value)
    return expression


def meaningful(series):
    """Some value that is a number."""
    return [one for one in series if any(not math.isnan(float(value)) for _, value in one.get("values", [one.get("value")]))]


class Questions:
    """Asked over the time of the load, every two seconds."""

    def __init__(self, prometheus, start, end):
        self.prometheus, self.start, self.end, self.found = prometheus, start, end, Found()

    def over_time(self, expression, step=2):
        said = self.prometheus.get("query_range", query=filled(expression), start=self.start, end=self.end, step=step)
        return said

    def ask(self, name, expression):
        """All its series; notes an error, or that there is none."""
        self.found.asked += 1
        said = self.over_time(expression)
        if said["status"] != "success":
            self.found.errors.append(f"{name}: {said.get('error')}")
            return []
        series = meaningful(said["data"]["result"])
        if not series:
            self.found.empty[name] = expression
        return series

    def panels(self, dashboards, flat):
        for one in dashboards:
            for panel in flat(one["panels"]):
                for target in panel["targets"]:
                    name = f"{one['uid']}/{panel['id']}/{target['refId']} {panel['title']}"
                    self.found.series[one["uid"], panel["id"], target["refId"]] = self.ask(name, target["expr"])

    def annotations(self, dashboards):
        for one in dashboards:
            for mark in one["annotations"]["list"]:
                self.ask(f"{one['uid']} annotation {mark['name']}", mark["expr"])

    def rules(self, rules, asked):
        """A rule's expression must be answered; each of its selectors must find series, whether or not the alert would fire."""
        for rule in rules:
            name = rule.get("alert") or rule.get("record")
            self.found.asked += 1
            said = self.over_time(rule["expr"], step=10)
            if said["status"] != "success":
                self.found.errors.append(f"{name}: {said.get('error')}")
            for metric, matchers in asked(rule["expr"]):
                inner = ",".join(f'{label}{operator}"{value}"' for label, operator, value in matchers)
                self.ask(f"{name}: {metric}{{{inner}}}", f"{metric}{{{inner}}}")

    def runbooks(self, runbooks, blocks):
        """Parsed and carried out; often empty, which is what one hopes for."""
        for name, text in runbooks.items():
            for query in blocks(text, "promql"):
                self.found.asked += 1
                said = self.prometheus.get("query", query=query, time=self.end)
                if said["status"] != "success":
                    self.found.errors.append(f"{name}: {query}: {said.get('error')}")


def health(prometheus):
    """Every rule as Prometheus sees it: (how many, what is wrong)."""
    groups = prometheus.get("rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    wrong = [f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}" for rule in rules if rule["health"] != "ok"]
    for rule in rules:
        for alert in rule.get("alerts", []):
            wrong += [f"{rule['name']}: {text}" for text in alert["annotations"].values() if "error" in text and "template" in text]
    return len(rules), wrong


def explained(empty):
    """(what is empty without an explanation, explanations that nothing needs)."""
    known = yaml.safe_load((HERE / "empty.yaml").read_text()) or {}
    needed, left = set(), []
    for name in sorted(empty):
        reasons = [pattern for pattern in known if re.search(pattern, name)]
        needed |= set(reasons)
        if not reasons:
            left.append(f"{name}\n      {empty[name]}")
    return left, sorted(set(known) - needed)
