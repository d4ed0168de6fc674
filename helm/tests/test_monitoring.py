"""R06: rules and dashboards reach the cluster as they stand in grafana/."""

import json

import chart
import pytest
from test_schemas import custom

ON = {"monitoring": {"rules": {"enabled": True, "additionalLabels": {"release": "p"}}, "dashboards": {"enabled": True}}}
SAMPLE = {
    "groups": [
        {
            "name": "sample",
            "interval": "30s",
            "rules": [
                {"record": "job:x:rate5m", "expr": "sum(rate(x_total[5m]))"},
                {
                    "alert": "Loud",
                    "expr": "job:x:rate5m > 0.5",
                    "for": "5m",
                    "labels": {"severity": "page"},
                    "annotations": {
                        "summary": "{{ $value }} on {{ $labels.pod }}",
                        "runbook_url": "https://example.org/grafana/runbooks/Loud.md",
                        "dashboard_url": "https://old.example.org/d/switchboard-overview?var-x=1",
                    },
                },
            ],
        },
        {"name": "gone", "rules": [{"alert": "Quiet", "expr": "vector(1)"}]},
    ]
}


@pytest.mark.parametrize("kind", ["rules", "dashboards"])
def test_the_chart_has_no_copies(kind):
    """R06: the chart's rules and dashboards are those of grafana/, by links that Helm follows."""
    link = chart.CHART / "files" / kind
    assert link.is_symlink() and link.resolve() == chart.ROOT / "grafana" / kind


def test_every_file_becomes_an_object():
    """R06: each file of rules is one PrometheusRule with all of its rules, each dashboard one ConfigMap below 1 MiB with the sidecar's label."""
    objects = chart.render(chart.scenarios()["default"], ON)
    files = sorted(file.name for file in (chart.CHART / "files" / "dashboards").glob("*.json"))
    maps = chart.of_kind(objects, "ConfigMap")
    assert sorted(name for item in maps for name in item["data"]) == files
    for item in maps:
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert item["metadata"]["annotations"] == {"grafana_folder": "Switchboard"}
        ((name, text),) = item["data"].items()
        assert json.loads(text) == json.loads((chart.CHART / "files" / "dashboards" / name).read_text())
        assert len(text) < 2**20
    groups = []
    for file in (chart.CHART / "files" / "rules").glob("*.yaml"):
        groups += chart.yaml.safe_load(file.read_text())["groups"]
    made = [group for item in chart.of_kind(objects, "PrometheusRule") for group in item["spec"]["groups"]]
    assert sorted(made, key=lambda group: group["name"]) == sorted(groups, key=lambda group: group["name"])


@pytest.fixture
def sample(tmp_path):
    """A copy of the chart with one file of rules and one dashboard of its own."""
    copy = chart.copy_to(tmp_path)
    for kind in ("rules", "dashboards"):
        for file in (copy / "files" / kind).iterdir():
            file.unlink()
    (copy / "files" / "rules" / "sample_one.yaml").write_text(chart.yaml.safe_dump(SAMPLE))
    (copy / "files" / "dashboards" / "Over_view.json").write_text('{\n  "title": "{{ not a template }}"\n}\n')
    return copy


def test_rules_keep_their_texts(sample):
    """R06: templates of Prometheus are not templates of Helm, and labels by which Prometheus chooses are added."""
    objects = chart.render(chart.scenarios()["default"], ON, chart=sample)
    (rule,) = chart.of_kind(objects, "PrometheusRule")
    assert rule["spec"] == SAMPLE and rule["metadata"]["labels"]["release"] == "p"
    assert rule["metadata"]["name"] == "sb-switchboard-rules-sample-one"
    assert custom("PrometheusRule").is_valid(rule)
    assert not custom("PrometheusRule").is_valid({**rule, "spec": {"groups": [{"name": "x", "rules": [{"alrt": "Loud", "expr": "1"}]}]}})
    (dashboard,) = chart.of_kind(objects, "ConfigMap")
    assert dashboard["metadata"]["name"] == "sb-switchboard-dashboard-over-view"
    assert json.loads(dashboard["data"]["Over_view.json"]) == {"title": "{{ not a template }}"}


def test_rules_can_be_left_out_and_links_changed(sample):
    """R06: what is excluded is gone, with groups that it empties; links to runbooks and dashboards lead where the operator serves them."""
    links = {"runbookUrlBase": "https://wiki.example.com/books/", "dashboardUrlBase": "https://grafana.example.com"}
    extra = {"monitoring": {"rules": {"enabled": True, "exclude": ["Quiet", "job:x:rate5m"], **links}}}
    (rule,) = chart.of_kind(chart.render(chart.scenarios()["default"], extra, chart=sample), "PrometheusRule")
    (group,) = rule["spec"]["groups"]
    (alert,) = group["rules"]
    assert alert["alert"] == "Loud" and group["interval"] == "30s"
    assert alert["annotations"]["runbook_url"] == "https://wiki.example.com/books/Loud.md"
    assert alert["annotations"]["dashboard_url"] == "https://grafana.example.com/d/switchboard-overview?var-x=1"
