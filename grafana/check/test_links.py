"""Alert, cases, runbook and dashboard belong together: each has the others. R06."""

import json
import re

import yaml
from catalogue import asked, faults
from conftest import GRAFANA, parse_all

HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
#: What our binaries can be told; checked against their own help by `dev/grafana live`.
COMMANDS = {
    "switchboard-api": {"migrate", "doctor", "keys", "probe", "leases", "accounts", "queues", "tenants", "events"},
    "switchboard-worker": {"keys", "probe"},
    "switchboard-scheduler": {"probe"},
}


def sections(text):
    return dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.S | re.M))


def blocks(text, language):
    return [line for block in re.findall(rf"```{language}\n(.*?)```", text, re.S) for line in block.strip().split("\n")]


def test_each_alert_has_its_runbook_and_each_runbook_its_alert(alerts, runbooks):
    """R06: by name, and by the link in the alert."""
    assert {alert["alert"] for alert in alerts} == set(runbooks)
    for alert in alerts:
        assert alert["annotations"]["runbook_url"].endswith(f"/grafana/runbooks/{alert['alert']}.md")


def roots(expression, rules):
    """The metrics behind an expression: what records are made of, and a histogram for its series."""
    found = set()
    for name, _ in asked(expression):
        if ":" in name:
            for rule in rules:
                if rule.get("record") == name and rule["expr"] != expression:
                    found |= roots(rule["expr"], rules)
        else:
            found.add(re.sub(r"_(bucket|sum|count)$", "", name))
    return found


def test_each_alert_leads_to_a_panel_that_shows_it(alerts, panels, rules):
    """R06: the panel is there, and draws a metric that the alert is about."""
    there = {(uid, str(panel["id"])): panel for uid, panel in panels}
    for alert in alerts:
        uid, number = re.search(r"/d/([\w-]+)\?viewPanel=(\d+)$", alert["annotations"]["dashboard_url"]).groups()
        assert (uid, number) in there, f"{alert['alert']} leads to {uid}/{number}, which is not there"
        drawn = set().union(*(roots(target["expr"], rules) for target in there[uid, number]["targets"]))
        assert drawn & roots(alert["expr"], rules), f"{alert['alert']} leads to {uid}/{number}, which draws {drawn}"


def test_each_alert_has_cases(alerts):
    """R06: the fourth of the four; that both kinds are there is counted in test_rules."""
    tested = set()
    for path in (GRAFANA / "tests").glob("*.yaml"):
        tested |= set(re.findall(r'alertname="(\w+)"', str(yaml.safe_load(path.read_text()))))
    assert {alert["alert"] for alert in alerts} == tested


def test_runbooks_are_whole(runbooks):
    """R06: meaning, impact, diagnosis with queries, mitigation with a command or a call."""
    for name, text in runbooks.items():
        assert text.startswith(f"# {name}\n"), name
        found = sections(text)
        assert list(found) == HEADINGS, name
        assert all(len(found[heading].strip()) > 10 for heading in HEADINGS), name
        assert blocks(found["Diagnosis"], "promql"), f"{name}: no query"
        assert blocks(found["Mitigation"], "sh"), f"{name}: no command"


def test_queries_of_runbooks_can_be_asked(runbooks, records, tmp_path):
    """R06: parsed by promtool, and for metrics that are served."""
    queries = {f"{name}/{at}": query for name, text in runbooks.items() for at, query in enumerate(blocks(text, "promql"))}
    parse_all(queries, tmp_path / "runbooks.yaml")
    wrong = {name: list(faults(query, records)) for name, query in queries.items()}
    assert not any(wrong.values()), {name: found for name, found in wrong.items() if found}


def test_runbooks_name_commands_and_routes_that_exist(runbooks):
    """R06: nobody types a command at three in the morning that is not there."""
    routes = json.loads((GRAFANA.parent / "docs/openapi.json").read_text())["paths"]
    known = [re.sub(r"\{\w+\}", "X", route) for route in routes]
    for name, text in runbooks.items():
        for binary, command in re.findall(r"^(switchboard-\w+) (\w+)", "\n".join(blocks(text, "sh")), re.M):
            assert command in COMMANDS[binary], f"{name}: {binary} {command}"
        for route in re.findall(r"(/v1/[\w/${}-]+)", text):
            assert re.sub(r"\$\w+|\{\w+\}", "X", route) in known, f"{name}: {route}"
        for other in re.findall(r"\((\w+)\.md\)", text):
            assert other in runbooks, f"{name} leads to {other}"


def test_the_readme_leads_to_every_runbook(runbooks):
    """R06: the table of alerts is written by the script; this catches a table that was cut."""
    text = (GRAFANA / "README.md").read_text()
    assert not [name for name in runbooks if f"runbooks/{name}.md" not in text]
