"""Provisioning for compose: read by the programs that will read it. R06."""

import re

import yaml
from conftest import GRAFANA, run

HERE = GRAFANA / "provisioning"


def test_prometheus_and_alertmanager_can_read_their_files(tmp_path):
    """R06: with the rules where compose mounts them."""
    text = (HERE / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus/rules", str(GRAFANA / "rules")))
    said = run("promtool", "check", "config", str(tmp_path / "prometheus.yml"))
    assert len(list((GRAFANA / "rules").glob("*.yaml"))) == len(re.findall(r"SUCCESS: \d+ rules found", said)), said
    run("amtool", "check-config", str(HERE / "alertmanager.yml"))


def test_jobs_are_named_as_the_rules_expect(alerts):
    """R06: alerts and panels look for jobs with our name in them."""
    scrapes = {one["job_name"]: one for one in yaml.safe_load((HERE / "prometheus.yml").read_text())["scrape_configs"]}
    assert set(scrapes) == {"switchboard-api", "switchboard-worker", "switchboard-scheduler"}
    assert any("switchboard" in alert["expr"] and "job=~" in alert["expr"] for alert in alerts)


def test_pages_and_tickets_are_routed_apart():
    """R06: amtool walks the tree of routes as Alertmanager would."""
    for severity, receiver in [("page", "on-call"), ("ticket", "tickets")]:
        said = run("amtool", "config", "routes", "test", f"--config.file={HERE / 'alertmanager.yml'}", f"severity={severity}")
        assert said.splitlines()[0] == receiver


def test_grafana_finds_the_data_source_and_the_dashboards():
    """R06: one Prometheus as default, one folder of our files."""
    [source] = yaml.safe_load((HERE / "datasources/prometheus.yaml").read_text())["datasources"]
    assert source["type"] == "prometheus" and source["isDefault"] and source["url"] == "http://prometheus:9090"
    [provider] = yaml.safe_load((HERE / "dashboards/switchboard.yaml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards" and not provider["allowUiUpdates"]
