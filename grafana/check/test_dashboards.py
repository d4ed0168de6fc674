"""Dashboards: complete, readable, and asking for what is served. R06."""

import re

from catalogue import asked, faults, kind
from conftest import GRAFANA, flat, parse_all

UNITS = {"none", "s", "percentunit", "ops", "reqps", "bytes"}


def filled(expression):
    """As Grafana would ask with All chosen."""
    for name, value in {"$__rate_interval": "1m", "$cluster": ".*", "$namespace": ".*"}.items():
        expression = expression.replace(name, value)
    return expression


def test_four_dashboards_link_to_each_other_and_have_the_variables(dashboards):
    """R06: one for each of the four who look; from each to the others, with the choice of cluster and namespace kept."""
    uids = {one["uid"] for one in dashboards}
    assert uids == {f"switchboard-{name}" for name in ("overview", "capacity", "accounts", "internals")}
    for one in dashboards:
        assert one["schemaVersion"] == 42 and not one["editable"] and one["refresh"]
        assert {link["url"].removeprefix("/d/") for link in one["links"]} == uids - {one["uid"]}
        assert all(link["keepTime"] and link["includeVars"] for link in one["links"])
        variables = {variable["name"]: variable for variable in one["templating"]["list"]}
        assert list(variables) == ["datasource", "cluster", "namespace"]
        for name in ("cluster", "namespace"):
            assert variables[name]["allValue"] == ".*" and variables[name]["current"]["value"] == "$__all"
        [deploys] = one["annotations"]["list"]
        assert "switchboard_build_info" in deploys["expr"] and deploys["enable"]


def test_each_panel_says_what_it_shows(panels):
    """R06: title, description with what healthy looks like, unit, a legend for each line, the data source of the variable."""
    assert len(panels) > 80
    for uid, panel in panels:
        where = f"{uid}/{panel['id']} {panel['title']}"
        assert re.search(r". Healthy looks like .+\.$", panel["description"]), where
        assert len(panel["title"]) > 2 and panel["fieldConfig"]["defaults"]["unit"] in UNITS, where
        assert panel["targets"], where
        for target in panel["targets"]:
            assert target["legendFormat"], where
            for holder in (panel, target):
                assert holder["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, where
        if panel["type"] in ("timeseries", "heatmap"):
            assert all(target["range"] for target in panel["targets"]), where


def test_panels_have_numbers_of_their_own_and_places_of_their_own(dashboards):
    """R06: alerts link to a panel's number; no panel lies on another or beyond the edge."""
    for one in dashboards:
        everything = [*one["panels"], *(panel for row in one["panels"] if row["type"] == "row" for panel in row["panels"])]
        numbers = [panel["id"] for panel in everything]
        assert len(numbers) == len(set(numbers)), one["uid"]
        for group in [one["panels"], *(row["panels"] for row in one["panels"] if row["type"] == "row")]:
            taken = set()
            for panel in group:
                at = panel["gridPos"]
                cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
                assert at["x"] + at["w"] <= 24 and not cells & taken, f"{one['uid']}/{panel['id']}"
                taken |= cells


def test_rows_below_the_fold_are_collapsed(dashboards):
    """R06: the first screens are open, what comes after them asks Prometheus nothing until somebody opens it."""
    for one in dashboards:
        rows = [panel for panel in one["panels"] if panel["type"] == "row"]
        collapsed = [row["collapsed"] for row in rows]
        assert collapsed == sorted(collapsed) and collapsed[-1] and not collapsed[0], one["uid"]
        for row in rows:
            assert row["collapsed"] == bool(row["panels"]), row["title"]
        assert all(list(flat([row])) for row in rows if row["collapsed"])


def test_expressions_can_be_read_and_ask_for_what_is_served(panels, records, dashboards, tmp_path):
    """R06: names, labels and words of labels as in `docs/metrics.md`; parsed by promtool."""
    expressions = {f"{uid}/{panel['id']}/{t['refId']}": filled(t["expr"]) for uid, panel in panels for t in panel["targets"]}
    expressions |= {f"{one['uid']}/deploys": filled(one["annotations"]["list"][0]["expr"]) for one in dashboards}
    parse_all(expressions, tmp_path / "panels.yaml")
    wrong = {name: list(faults(text, records)) for name, text in expressions.items()}
    assert not any(wrong.values()), {name: found for name, found in wrong.items() if found}


def test_expressions_follow_the_rules_of_the_house(panels):
    """R06: every selector knows cluster and namespace, counters stand in a rate, what schedulers measure alike is read with max."""
    for uid, panel in panels:
        for target in panel["targets"]:
            text, where = target["expr"], f"{uid}/{panel['id']}: {target['expr']}"
            for name, matchers in asked(text):
                if name != "switchboard:slo:objective":  # a constant, the same everywhere
                    assert {"cluster", "namespace"} <= {label for label, _, _ in matchers}, where
                if ":" in name or name.startswith("kube_"):
                    continue
                what, labels = kind(name)
                if what in ("counter", "histogram") or name.endswith("_total"):
                    assert re.search(rf"\b(rate|increase)\({name}", text), where
                if name in MEASURED:
                    assert re.search(rf"max ?(by \([^)]*\) )?\({name}", text), where
            if panel["type"] == "timeseries":
                for window in re.findall(r"\brate\([^[]*\[([^\]]+)\]", text):
                    assert window == "$__rate_interval", where


def test_there_is_a_small_picture_of_each_dashboard(dashboards):
    """R06: drawn by `dev/grafana live` from a real run; small enough for a repository."""
    for one in dashboards:
        picture = GRAFANA.parent / "docs" / "pictures" / f"{one['uid']}.png"
        assert 20_000 < picture.stat().st_size <= 250 * 1024, picture


MEASURED = {
    f"switchboard_{name}"
    for name in (
        "accounts accounts_wanted accounts_online accounts_unowned waiting waiting_oldest_seconds workers capacity webhooks tenants queue_jobs "
        "table_bytes measured_timestamp_seconds"
    ).split()
}
