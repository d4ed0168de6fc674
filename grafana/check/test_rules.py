"""Rules: read by promtool, tested by promtool, asking for what is served. R06."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from catalogue import asked, faults
from conftest import GRAFANA, run
from test_dashboards import MEASURED

RULES = sorted((GRAFANA / "rules").glob("*.yaml"))
TESTS = sorted((GRAFANA / "tests").glob("*.yaml"))
#: How the alert is named for each bad day of the issue.
BAD_DAYS = {
    "missing secret": "SwitchboardPodCannotStart", "process that does not start": "SwitchboardTargetDown",
    "wrong password": "SwitchboardPostgresPasswordRefused", "wrong password of Redis": "SwitchboardRedisPasswordRefused",
    "unreachable host": "SwitchboardPostgresUnreachable", "unreachable Redis": "SwitchboardRedisUnreachable",
    "old schema": "SwitchboardSchemaPending", "newer schema": "SwitchboardSchemaNewer",
    "no permission": "SwitchboardPostgresPermissionDenied", "clock off": "SwitchboardClockOff",
    "disk full": "SwitchboardPostgresDiskFull",
}


def cases(path):
    """(alert, severity, whether it is to fire) of each case in a file of tests."""
    for test in yaml.safe_load(path.read_text())["tests"]:
        for one in test["promql_expr_test"]:
            found = re.fullmatch(r'ALERTS\{alertname="(\w+)",alertstate="firing",severity="(\w+)"\}', one["expr"])
            if found:
                assert test["input_series"], f"{test['name']} has no series: it could not fail"
                yield found.group(1), found.group(2), bool(one["exp_samples"])


def test_rules_can_be_read():
    """R06: by the program that will read them."""
    assert len(RULES) > 5
    run("promtool", "check", "rules", *map(str, RULES))


def test_every_file_of_rules_has_its_file_of_tests():
    """R06: same names."""
    assert [path.name for path in RULES] == [path.name for path in TESTS]


@pytest.fixture(scope="module")
def promtool():
    """The tests of all files, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return {path.name: pool.submit(run, "promtool", "test", "rules", str(path)) for path in TESTS}


@pytest.mark.parametrize("name", [path.name for path in TESTS])
def test_rules_do_what_their_cases_say(promtool, name):
    """R06: promtool runs each case against the rules."""
    assert "SUCCESS" in promtool[name].result()


def test_each_alert_has_a_case_that_fires_and_one_that_does_not(alerts):
    """R06: counted, so that an alert without a case fails here."""
    count = Counter(case for path in TESTS for case in cases(path))
    there = {(alert["alert"], alert["labels"]["severity"]) for alert in alerts}
    assert len(there) == len(alerts), "two alerts of the same name and severity"
    for name, severity in sorted(there):
        assert count[name, severity, True], f"{name} ({severity}) has no case in which it fires"
        assert count[name, severity, False], f"{name} ({severity}) has no case in which it is silent"
    assert {case[:2] for case in count} == there, "cases of alerts that are gone"
    print(f"{len(alerts)} alerts, {sum(count.values())} cases")


def test_an_alert_fires_for_each_bad_day(alerts):
    """R06: missing secret, wrong password, unreachable host, old and newer schema, no permission, clock off, disk full."""
    firing = {name for path in TESTS for name, _, fires in cases(path) if fires}
    assert not set(BAD_DAYS.values()) - firing


def test_rules_ask_for_what_is_served(rules, records):
    """R06: names, labels and words of labels as in `docs/metrics.md`."""
    wrong = {rule.get("alert", rule.get("record")): list(faults(rule["expr"], records)) for rule in rules}
    assert not any(wrong.values()), {name: found for name, found in wrong.items() if found}


def test_rules_read_what_schedulers_measure_alike_with_max(rules):
    """R06: a sum would count once per scheduler."""
    for rule in rules:
        for name, _ in asked(rule["expr"]):
            if name in MEASURED:
                assert re.search(rf"max by \([^)]*\) \((min_over_time\()?{name}", rule["expr"]), rule


def test_each_alert_says_what_a_person_needs(alerts):
    """R06: severity, one sentence, a description, links; labels that its texts name are there."""
    for alert in alerts:
        assert alert["labels"]["severity"] in ("page", "ticket"), alert
        texts = alert["annotations"]
        assert set(texts) == {"summary", "description", "runbook_url", "dashboard_url"}, alert
        assert not texts["summary"].endswith(".") and texts["description"].endswith("."), alert
        for label in re.findall(r"\$labels\.(\w+)", str(texts)):
            kept = re.search(rf"\b(by|group) ?\(?[^)]*\b{label}\b", alert["expr"]) or not re.match(r"\s*(sum|max|min|count)", alert["expr"])
            assert kept, f"{alert['alert']}: {label}"


def test_cases_are_made_of_series_that_are_served(records):
    """R06: a case with a misspelt series proves nothing."""
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for series in test["input_series"]:
                wrong = [fault for fault in faults(series["series"], records) if "no label" not in fault or "slo" in fault]
                assert not wrong, f"{test['name']}: {wrong}"
